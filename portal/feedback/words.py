"""Which words a text is found by.

The search is a table of words, read along its primary key: the same code on SQLite and PostgreSQL, in the
order of the list, so that a page costs no more with many finds than with few. FTS5 and tsvector would
be two codes, each with an index that first collects every find and then sorts.
"""

import re
import unicodedata

from portal.feedback.models import WORD_MAX

WORDS_MAX = 400
_WORD = re.compile(r"[^\W_]+")
# So frequent that they tell no thread from another.
_COMMON_WORDS = """
    an and are as at be but by can do for from had has have how if in is it its me my no not of
    on or our so that the their there they this to was we what when which why will with you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_SHORT = 3


def words_of(*texts: str) -> list[str]:
    """The distinct words of some texts as they are looked up, in the order in which they stand."""
    found: dict[str, None] = {}
    for text in texts:
        plain = unicodedata.normalize("NFKD", text).casefold()
        plain = "".join(char for char in plain if not unicodedata.combining(char))
        for word in _WORD.findall(plain):
            if word not in _COMMON and not (len(word) == 1 and word.isalpha() and word.isascii()):
                found[_root(word)[:WORD_MAX]] = None
            if len(found) == WORDS_MAX:
                return list(found)
    return list(found)


def _root(word: str) -> str:
    """ "limits" finds "limit": one form for singular and plural, and no more cleverness than that."""
    if len(word) > _SHORT and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word

"""What a text looks like to a reader."""

import unicodedata

# First letters of the Unicode categories that leave a mark on the page …
_MARKS = {"L", "N", "P", "S"}
# … and the letters and symbols that leave none: fillers of Hangul, and the empty Braille pattern.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def can_be_seen(text: str) -> bool:
    """Whether at least one character leaves a mark on the page."""
    return any(unicodedata.category(char)[0] in _MARKS and char not in _BLANK for char in text)

"""Which words a text is found by. Pure."""

import pytest

from portal.core.text import can_be_seen
from portal.feedback.models import WORD_MAX
from portal.feedback.words import WORDS_MAX, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The limits of the Limit", ["limit"]),
        ("Žofie's KEYS", ["zofie", "key"]),
        ("opus-5, sonnet_4", ["opu", "5", "sonnet", "4"]),
        ("class access gas", ["class", "access", "gas"]),
        ("\u200b … !", []),
        ("x" * 99, ["x" * WORD_MAX]),
    ],
)
def test_a_text_is_found_by_its_words(text, words):
    assert words_of(text) == words


def test_no_text_has_more_words_than_are_kept():
    assert len(words_of(" ".join(f"w{number}" for number in range(5_000)))) == WORDS_MAX


@pytest.mark.parametrize(
    "text", ["", " ", "\u200b\u200d", "\u2060", "\u3164\uffa0", "\u2800", "\u0301"]
)
def test_some_texts_leave_no_mark_on_a_page(text):
    assert not can_be_seen(text)


@pytest.mark.parametrize("text", ["a", "\u200b1", "…", "🛟", "字"])
def test_others_do(text):
    assert can_be_seen(text)

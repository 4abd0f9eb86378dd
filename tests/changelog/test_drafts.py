import pytest

from portal.changelog.commands import draft_of, publish_change
from portal.changelog.drafts import find_outlook
from portal.core.actor import CLI
from portal.core.errors import Invalid
from portal.transparency.signer import log_transaction
from tests.support.change_files import CELL, change_file, in_days, unix

pytestmark = [
    pytest.mark.usefixtures("catalog", "clock"),
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]


@pytest.fixture
def look(session):
    return lambda content: find_outlook(session, content)


def test_an_outlook_says_what_the_draft_would_do(look):
    outlook = look(change_file(effective_at=in_days(30)))

    assert outlook.is_lawful
    assert outlook.diff.sentences == (
        "Build · Sonnet 5 · requests per minute: 5,000 → 4,000 (\u221220 %)",
    )
    assert (outlook.diff.direction, outlook.diff.direction_code) == ("Tightens", "tightening")
    assert outlook.earliest == unix(30)


def test_an_outlook_says_the_refusal_and_what_would_be_right(look):
    outlook = look(change_file())

    assert not outlook.is_lawful
    assert "the earliest effective time is 2026-12-02 12:00 UTC" in outlook.refusal
    assert outlook.earliest == unix(30)


def test_limits_are_judged_before_there_are_words(look):
    outlook = look({**change_file(6000), "title": "", "reason": " "})

    assert outlook.missing == ("title", "reason")
    assert not outlook.is_lawful
    assert len(outlook.diff.lines) == 1


def test_what_changes_nothing_is_refused(look):
    refusal = "It changes nothing: all is so already at that time."
    assert look(change_file(5000)).refusal == refusal


def test_a_draft_that_gives_no_value_yet_is_neither_refused_nor_lawful(look):
    outlook = look({"title": "Fewer requests"})

    assert outlook.is_untouched
    assert outlook.refusal is None
    assert not outlook.is_lawful


def test_a_replacement_is_judged_with_what_it_replaces(look, publish):
    publish(change_file(effective_at=in_days(40)))

    outlook = look(change_file(4500, effective_at=in_days(40), replaces=[2]))

    assert outlook.is_lawful
    assert outlook.diff.lines[0].before == "5,000"


def test_every_kind_of_thing_has_a_sentence(look):
    content = {
        "title": "All of it",
        "reason": "To see it.",
        "effective_at": in_days(100),
        "models": [{"slug": "haiku-5", "name": "Haiku 5"}],
        "offers": [
            {"tier": "build", "model": "haiku-5"},
            {
                "tier": "build",
                "model": "haiku-4.5",
                "offered": False,
                "replacement": {"tier": "build", "model": "haiku-5"},
            },
        ],
        "counting": {"reserve": {"scale": {"output_tokens": 8192}}, "texts": {"requests": "One."}},
        "rows": [
            {**CELL, "model": "haiku-5", "quota": 100},
            {**CELL, "tier": "scale", "quota": None},
            {**CELL, "tier": "start", "quota": 1000, "burst": 500},
        ],
    }

    content_before = "Each request that a gateway admits counts one; a refused one counts nothing."

    diff = look(content).diff

    assert diff.sentences == (
        "the model haiku-5: Haiku 5 (new)",
        "Start · Sonnet 5 · requests per minute: 1,000 → 1,000, at most 500 in one go",
        "Build · Haiku 4.5: no longer offered (removed)",
        "Build · Haiku 5: offered (new)",
        "Build · Haiku 5 · requests per minute: 100 (new)",
        "Scale · Sonnet 5 · requests per minute: 10,000 (removed)",
        "Scale · reserve of output tokens, where a request names none: 4,096 → 8,192 (+100 %)",
        f"how requests count: {content_before} → One.",
    )
    assert diff.summary.startswith("It retires what was offered.")
    assert list(diff.by_tier) == ["", "Start", "Build", "Scale"]


def test_a_tiers_own_terms_are_compared_one_by_one(look):
    tier = {
        "slug": "build",
        "name": "Build",
        "rank": 2,
        "entry": "automatic",
        "description": "For applications in production.",
        "requirements": {"email_confirmed": True, "account_age_days": 7, "active_days": 7},
        "keys_max": 20,
    }

    diff = look({"title": "T", "reason": "R", "effective_at": in_days(30), "tiers": [tier]}).diff

    assert diff.sentences == (
        "Build · the tier itself: live keys: up to 50 live keys → live keys: up to 20 live keys",
    )
    assert diff.direction == "Tightens"


def test_drafts_are_looked_at_without_writing(look, counts):
    before = counts()

    look(change_file())

    assert counts() == before


def test_an_outlook_agrees_with_publishing(look, session, sessions, settings):
    """What is shown beside a draft is what the command says a moment later."""
    said = look(change_file()).refusal

    with (
        pytest.raises(Invalid) as refused,
        log_transaction(session, sessions, settings=settings, actor=CLI),
    ):
        publish_change(session, actor=CLI, draft=draft_of(change_file()))

    assert refused.value.public == said

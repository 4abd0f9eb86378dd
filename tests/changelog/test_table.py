import json
from dataclasses import replace

from plimsoll.contract.effect import effect_of
from plimsoll.contract.limits import Cell, Kind, Limit
from plimsoll.contract.terms import Offer
from portal.changelog.table import make_document, make_table
from portal.changelog.timeline import verdict
from tests.changelog.logs import FIRST, make_log, next_change

CELL = Cell("build", "sonnet-5", "requests", Kind.BUCKET, 60)
BEFORE, AFTER = Limit(CELL, 5000, 5000), Limit(CELL, 4000, 4000)
LATER = FIRST + 30 * 86_400


def limit_of(document, cell):
    return next(each for each in document["limits"] if each["name"] == cell.name)


def document_at(log, at):
    return json.loads(make_document(log, at))


def test_a_limit_says_until_when_it_is_known_to_hold():
    log = make_log(next_change(BEFORE, AFTER, at=LATER))

    now, then = (limit_of(document_at(log, at), CELL) for at in (FIRST, LATER))

    assert (now["quota"], now["valid_from"], now["valid_to"]) == (
        5000,
        "1970-01-12T13:46:40Z",
        "1970-02-11T13:46:40Z",
    )
    assert (then["quota"], then["valid_from"], then["valid_to"], then["change"]) == (
        4000,
        "1970-02-11T13:46:40Z",
        None,
        2,
    )


def test_a_limit_that_will_be_removed_ends_too():
    log = make_log(next_change(BEFORE, None, at=LATER))

    assert limit_of(document_at(log, FIRST), CELL)["valid_to"] == "1970-02-11T13:46:40Z"
    assert CELL.name not in {each["name"] for each in document_at(log, LATER)["limits"]}


def test_each_limit_ends_with_the_change_that_concerns_it():
    opus = Limit(Cell("build", "opus-5", "requests", Kind.BUCKET, 60), 5000, 5000)
    log = make_log(
        next_change(opus, None, at=LATER),
        next_change(BEFORE, AFTER, at=LATER + 86_400, number=3),
    )

    document = document_at(log, FIRST)

    ends = [limit_of(document, cell)["valid_to"] for cell in (opus.cell, CELL)]
    assert ends == ["1970-02-11T13:46:40Z", "1970-02-12T13:46:40Z"]


def test_what_an_announced_change_leaves_alone_has_no_end():
    log = make_log(next_change(BEFORE, AFTER, at=LATER))
    other = Cell("build", "opus-5", "requests", Kind.BUCKET, 60)

    assert limit_of(document_at(log, FIRST), other)["valid_to"] is None


def test_the_same_limits_are_the_same_bytes_whatever_the_time():
    log = make_log(next_change(BEFORE, AFTER, at=LATER))

    assert make_document(log, FIRST) == make_document(log, LATER - 1)
    assert make_document(log, LATER) == make_document(log, LATER + 10**9)


def test_the_next_step_is_the_first_instant_ahead():
    log = make_log(next_change(BEFORE, AFTER, at=LATER))

    steps = [log.next_step(at) for at in (0, FIRST, LATER - 1, LATER)]

    assert steps == [FIRST, LATER, LATER, None]


def test_a_model_that_a_tier_does_not_offer_is_no_unlimited_one():
    gone = replace(
        next_change(BEFORE, AFTER, at=LATER),
        rows=(),
        offers=(Offer("build", "sonnet-5", offered=False, replacement=("build", "opus-5")),),
    )
    log = make_log(gone)

    before, after = (make_table(log, at, held={}) for at in (FIRST, LATER))

    start, build, _ = section(before).lines[0].values
    assert (build.amount, build.offered, build.turn) == ("5,000", True, (LATER, 2, False))
    start, build, _ = section(after).lines[0].values
    assert (start.amount, start.offered) == ("1,000", True)
    assert (build.amount, build.offered) == (None, False)


def test_a_cell_says_what_it_will_hold_and_by_which_change():
    log = make_log(next_change(BEFORE, AFTER, at=LATER))

    now, then = (make_table(log, at, held={}) for at in (FIRST, LATER))

    (later,) = section(now).lines[0].values[1].coming
    assert (later.amount, later.at, later.change, later.is_less) == ("4,000", LATER, 2, True)
    assert section(then).lines[0].values[1].coming == ()


def section(table):
    return next(each for each in table.sections if each.title == "Sonnet 5")


def test_a_metric_without_a_limit_in_one_tier_is_said():
    log = make_log(next_change(BEFORE, None, at=LATER))

    values = section(make_table(log, LATER, held={})).lines[0].values

    assert [value.amount for value in values] == ["1,000", None, "10,000"]
    assert values[1].offered


def test_what_a_change_is_called_is_what_its_effect_says():
    """The list walks the layer once for all; the page of a change asks for its own."""
    other = Limit(replace(CELL, model="opus-5"), 5000, 5000)
    gone = Offer("build", "sonnet-5", offered=False, replacement=("build", "opus-5"))
    log = make_log(
        next_change(BEFORE, AFTER, at=LATER),
        next_change(other, Limit(other.cell, 9000, 9000), at=LATER - 5, number=3),
        next_change(AFTER, Limit(CELL, 4500, 4500), at=LATER + 5, number=4),
        replace(next_change(BEFORE, AFTER, at=LATER + 9, number=5), rows=(), offers=(gone,)),
        next_change(AFTER, Limit(CELL, 1, 1), at=LATER + 10, number=6),
    )

    called = [verdict(log, number) for number in range(1, 7)]

    effects = [effect_of(log.history, number) for number in range(1, 7)]
    assert called == [(each.direction, each.is_retirement) for each in effects]
    assert [each.direction.value for each in called] == [
        "neutral",
        "tightening",
        "loosening",
        "loosening",
        "tightening",
        "neutral",
    ]

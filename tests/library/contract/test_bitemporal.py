"""Ten questions of the form "what did the portal say on X about Y", and what they cost."""

import sys
from functools import partial

import pytest

from plimsoll.contract.effect import effect_of, upcoming_tightenings
from plimsoll.contract.fold import policy_of
from plimsoll.contract.history import History, State, Status, read
from plimsoll.contract.rules import check_next
from tests.library.contract.chronicle import (
    BUILD,
    BUILD_OPUS,
    DAY,
    HOUR,
    SPEND,
    START,
    START_CELL,
    Chronicle,
    offer,
)


@pytest.fixture(scope="module")
def log() -> Chronicle:
    """Half a year: a cut that is held and comes late, an emergency, a raise, a retirement."""
    log = Chronicle()
    log.announce(DAY, {BUILD: 4000}, effective=40 * DAY)  # 2
    log.announce(2 * DAY, {BUILD: 9000}, expires=12 * DAY, **{"class": "temporary_raise"})  # 3
    log.announce(5 * DAY, {BUILD: 300}, expires=8 * DAY, **{"class": "emergency_cut"})  # 4
    log.withdraw(4, at=6 * DAY)
    log.announce(10 * DAY, {BUILD: 4500}, effective=60 * DAY)  # 5
    retired = [offer(("build", "opus-5"), replacement=("build", "sonnet-5"))]
    log.announce(20 * DAY, offers=retired, effective=110 * DAY)  # 6
    log.hold(2, at=30 * DAY)
    log.release(2, at=50 * DAY, effective_at=65 * DAY)
    log.release(5, at=55 * DAY, effective_at=105 * DAY)
    log.log(log.act("amended", 2, at=56 * DAY, title="Clearer words"))
    log.log(log.policy_changed(70 * DAY, effective=160 * DAY, retirement_seconds=60 * DAY))
    log.log(log.act("rescheduled", 6, at=100 * DAY, effective_at=120 * DAY))
    return log


@pytest.mark.parametrize(
    ("said_on", "about", "answer"),
    [
        # Of today, on the day itself: what was in force.
        (7 * DAY, 7 * DAY, 9000),
        # In the emergency, of the day after its early end: nobody knew of that yet.
        (5 * DAY, 7 * DAY, 300),
        (6 * DAY, 7 * DAY, 9000),
        # Of the end of the raise, known from its start, and not before.
        (DAY, 11 * DAY, 5000),
        (2 * DAY, 12 * DAY - 1, 9000),
        (2 * DAY, 12 * DAY, 5000),
        # Of the cut: announced, held, released for later.
        (0, 50 * DAY, 5000),
        (29 * DAY, 50 * DAY, 4000),
        (30 * DAY, 50 * DAY, 5000),
        (50 * DAY, 65 * DAY, 4000),
        (50 * DAY, 65 * DAY - 1, 5000),
        # Of the raise that stood on it, and was taken along.
        (29 * DAY, 61 * DAY, 4500),
        (30 * DAY, 61 * DAY, 5000),
        (54 * DAY, 106 * DAY, 4000),
        (55 * DAY, 106 * DAY, 4500),
        # Long afterwards, of all that was.
        (200 * DAY, 5 * DAY, 300),
        (200 * DAY, 6 * DAY, 9000),
        (200 * DAY, 45 * DAY, 5000),
        (200 * DAY, 104 * DAY, 4000),
    ],
)
def test_1_what_did_the_log_say_then_of_the_limit_at_that_time(log, said_on, about, answer):
    assert log.quota(about, known_at=said_on) == answer


def test_2_since_when_was_it_to_be_read_that_the_limit_falls(log):
    days = [day for day in range(66) if log.quota(65 * DAY, known_at=day * DAY) == 4000]

    # Held from day 30 to day 50; before that its raise on day 60 was known from day 10 on.
    assert days == [*range(1, 10), *range(50, 66)]


def test_3_what_was_known_of_an_offer_on_the_day_of_its_retirement(log):
    def offered(about, said_on):
        return ("build", "opus-5") in log.policy(about, said_on).offers

    assert offered(115 * DAY, 19 * DAY)
    assert not offered(115 * DAY, 20 * DAY)
    assert not offered(115 * DAY, 100 * DAY - 1)
    assert offered(115 * DAY, 100 * DAY)
    assert not offered(120 * DAY, 200 * DAY)


def test_4_which_changes_were_known_and_in_which_state(log):
    def states(at):
        history = read(log.entries, START + at)
        return [change.state(START + at) for change in history.changes.values()][1:]

    assert states(0) == []
    assert states(5 * DAY) == [State.ANNOUNCED, State.EFFECTIVE, State.EFFECTIVE]
    assert states(6 * DAY) == [State.ANNOUNCED, State.EFFECTIVE, State.ENDED]
    assert states(30 * DAY) == [State.HELD, State.ENDED, State.ENDED, State.HELD, State.ANNOUNCED]
    assert states(200 * DAY)[-1] is State.EFFECTIVE


def test_5_which_words_stood_there_then(log):
    titles = [
        read(log.entries, START + at).changes[2].title for at in (DAY, 56 * DAY - 1, 56 * DAY)
    ]

    assert titles == ["New limits", "New limits", "Clearer words"]


def test_6_which_notice_was_promised_then_and_for_later(log):
    def days(about, said_on):
        return log.policy(about, said_on).notice["retirement_seconds"] // DAY

    assert (days(170 * DAY, 69 * DAY), days(170 * DAY, 70 * DAY)) == (90, 60)
    assert (days(160 * DAY - 1, 200 * DAY), days(160 * DAY, 200 * DAY)) == (90, 60)


def test_7_what_was_ahead_for_a_tier_that_day(log):
    def ahead(at):
        found = upcoming_tightenings(read(log.entries, START + at), START + at)
        return [(each.change, (each.effective_at - START) // DAY, *each.touches) for each in found]

    cut, retired = ("build", "sonnet-5"), ("build", "opus-5")
    assert ahead(0) == []
    assert ahead(DAY) == [(2, 40, cut)]
    assert ahead(25 * DAY) == [(2, 40, cut), (6, 110, retired)]
    assert ahead(30 * DAY) == [(6, 110, retired)]
    assert ahead(50 * DAY) == [(2, 65, cut), (6, 110, retired)]
    assert ahead(65 * DAY - 1)[0] == (2, 65, cut)
    assert ahead(65 * DAY) == [(6, 110, retired)]
    assert ahead(120 * DAY) == []


def test_8_what_would_a_change_have_done_as_seen_then(log):
    def seen(at):
        (item,) = effect_of(read(log.entries, START + at), 5).items
        return item.before.quota, item.after.quota, item.direction.value

    assert seen(10 * DAY) == (4000, 4500, "loosening")
    assert seen(30 * DAY) == (5000, 4500, "tightening")
    assert seen(55 * DAY) == (4000, 4500, "loosening")


def test_9_when_would_limits_move_next_as_seen_then(log):
    def instants(at):
        known = read(log.entries, START + at).instants()
        return [(each - START) / DAY for each in known if each > START + at]

    assert instants(5 * DAY) == [8, 12, 40]
    assert instants(6 * DAY) == [12, 40]
    assert instants(30 * DAY) == [110]
    assert instants(55 * DAY) == [65, 105, 110]


def test_10_what_was_in_force_is_told_alike_ever_after(log):
    moments = range(0, 200 * DAY, 61 * HOUR)

    for at in moments:
        then, later = log.policy(at, at), log.policy(at)
        assert (then.limits, then.offers, then.counting) == (
            later.limits,
            later.offers,
            later.counting,
        )


def test_who_took_a_change_along_and_why(log):
    held = read(log.entries, START + 30 * DAY).changes

    assert [(held[n].status, held[n].held_by, held[n].notice_left) for n in (2, 5)] == [
        (Status.HELD, None, 10 * DAY),
        (Status.HELD, 2, 30 * DAY),
    ]
    assert held[5].hold_reason == held[2].hold_reason == "We look again."
    released = log.history.changes[5]
    assert (released.held_by, released.held_at, released.hold_reason) == (None, None, None)


# ---- what it costs ----


def calls_of(work):
    """How many Python calls a piece of work takes: a clock that no busy machine moves."""
    count = 0

    def count_call(_frame, event, _argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(count_call)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.fixture(scope="module")
def long_log() -> list[dict]:
    """400 raises, one an hour, effective at once and in turn of four limits."""
    log, first = Chronicle(), Chronicle().policy(0).limits
    cells = (BUILD, BUILD_OPUS, START_CELL, SPEND)
    stands = {cell: first[cell].limit.values() for cell in cells}
    for number in range(2, 402):
        cell = cells[number % 4]
        higher = {name: amount and amount + 1 for name, amount in stands[cell].items()}
        row = {**cell.to_wire(), "from": stands[cell], "to": higher}
        entry = log.announcement(number * HOUR, [row], change=number, id=f"chg_{number:026d}")
        log.entries.append(entry)
        stands[cell] = higher
    return log.entries


def test_to_judge_and_read_a_log_is_linear(long_log):
    history = History()

    def judge(entries):
        for entry in entries:
            check_next(history, entry, entry["at"])
            history.append(entry)

    parts = [long_log[start : start + 100] for start in (0, 100, 200, 300)]
    costs = [calls_of(partial(judge, part)) for part in parts]

    assert costs[3] < 1.1 * costs[1], costs
    assert history.size == 400


def test_to_read_and_fold_a_log_is_linear(long_log):
    def answer(entries):
        policy_of(read(entries), entries[-1]["at"])

    costs = [calls_of(partial(answer, long_log[:size])) for size in (100, 200, 400)]

    assert costs[2] - costs[1] < 2.2 * (costs[1] - costs[0]), costs

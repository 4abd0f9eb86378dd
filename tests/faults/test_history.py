"""The judge itself: a lawful run passes, and each planted violation is found under its own name."""

from collections import Counter

import pytest

from tests.faults.history import (
    Copy,
    Decision,
    Down,
    Harm,
    History,
    Limit,
    Position,
    Span,
    clean_links,
)

DIGEST = "ab" * 32
OTHER = "cd" * 32


def said(began, status=200, code="", *, gateway="gw-0", key="key_a"):
    return Decision(gateway, key, began, began + 0.01, status, code)


@pytest.fixture
def history():
    """Key a is revoked at 50, key b never; the gateway is killed at 30 and the portal away from 70."""
    return History(
        issued={"key_a": 1.0, "key_b": 1.0},
        revoked={"key_a": 50.0},
        touched={"key_a": 49.9},
        decisions=[
            *(said(at) for at in (3.0, 10.0, 29.5, 40.0, 50.5)),
            *(said(at, 401, "key_revoked") for at in (50.7, 60.0)),
            *(said(at, key="key_b") for at in (3.0, 41.0, 60.1, 72.0, 80.0)),
            said(30.5, 0, "nobody", key="key_b"),
            said(0.5, 503, "not_ready", key="key_b"),
        ],
        links=[Span(2.0, 30.0, "gw-0"), Span(35.0, 70.0, "gw-0")],
        downs=[Down(30.0, 30.1, 34.0, "gw-0")],
        outages=[Span(70.0, 75.0)],
        positions=[Position("gw-0", 7, DIGEST[:8])],
        copies=[Copy("gw-0", 7, DIGEST, DIGEST, (b"one", b"two"))],
        commits={7: {DIGEST}},
        leaves=[b"one", b"two", b"three"],
        quotas=[10, 20],
        limits=[Limit("gw-0", 3.0, 10), Limit("gw-0", 9.0, 20)],
        counted=Counter({"key_a": 5, "key_b": 5}),
    )


def rules(history):
    return [violation.rule for violation in history.judge()]


def test_a_lawful_run_is_found_lawful(history):
    assert history.judge() == []


def test_an_admission_later_than_the_bound_is_found(history):
    history.decisions = [each for each in history.decisions if each.code != "key_revoked"]
    history.decisions.append(said(51.2))
    history.counted["key_a"] += 1

    assert rules(history) == ["revocation"]


def test_a_gateway_that_is_cut_off_may_admit_for_longer(history):
    history.decisions = [each for each in history.decisions if each.code != "key_revoked"]
    history.decisions.append(said(51.2))
    history.counted["key_a"] += 1
    history.links = [Span(2.0, 50.9, "gw-0")]

    assert rules(history) == []


def test_a_machine_that_wakes_its_sleepers_late_has_so_much_longer(history):
    history.decisions = [each for each in history.decisions if each.code != "key_revoked"]
    history.decisions.append(said(51.2))
    history.counted["key_a"] += 1

    history.late = 0.3

    assert rules(history) == []


def test_a_key_that_rises_again_is_found_however_cut_off_the_gateway_is(history):
    history.decisions.append(said(90.0))
    history.counted["key_a"] += 1

    assert rules(history) == ["finality"]


@pytest.mark.parametrize(
    ("at", "rule"), [(42.0, "false deny"), (42.5, "false deny"), (2.5, None), (3.5, "false deny")]
)
def test_an_active_key_that_is_refused_is_found(history, at, rule):
    history.decisions.append(said(at, 401, "key_unknown", key="key_b"))

    assert rules(history) == ([] if rule is None else [rule])


def test_a_key_that_does_not_arrive_is_found(history):
    history.issued["key_c"] = 55.0
    history.decisions.append(said(56.5, 401, "key_unknown", key="key_c"))

    assert rules(history) == ["convergence"]


@pytest.mark.parametrize(
    ("status", "code"), [(503, "not_ready"), (0, "TimeoutError"), (0, "nobody")]
)
def test_a_gateway_that_was_ready_and_does_not_decide_is_found(history, status, code):
    history.decisions.append(said(45.0, status, code, key="key_b"))

    assert rules(history) == ["readiness"]


def test_a_connection_left_from_a_process_that_is_gone_is_no_silence(history):
    history.decisions.append(said(45.0, 0, "stale", key="key_b"))

    assert rules(history) == []


def test_a_gateway_that_admits_nothing_without_its_portal_is_found(history):
    history.decisions.remove(said(72.0, key="key_b"))
    history.counted["key_b"] -= 1

    assert rules(history) == ["fail static"]


def test_an_outage_that_a_slow_machine_slept_through_shows_nothing(history):
    history.decisions.remove(said(72.0, key="key_b"))
    history.counted["key_b"] -= 1

    history.late = 4.5

    assert rules(history) == []


@pytest.mark.parametrize(
    "position", [Position("gw-0", 8, DIGEST[:8]), Position("gw-0", 7, "0" * 8)]
)
def test_a_position_that_the_portal_never_had_is_found(history, position):
    history.positions.append(position)

    assert rules(history) == ["prefix"]


@pytest.mark.parametrize(
    "copy",
    [
        Copy("gw-0", 7, DIGEST, OTHER, (b"one",)),
        Copy("gw-0", 7, OTHER, OTHER, (b"one",)),
        Copy("gw-0", 8, DIGEST, DIGEST, (b"one",)),
    ],
)
def test_a_copy_that_differs_from_the_portal_is_found(history, copy):
    history.copies.append(copy)

    assert rules(history) == ["prefix"]


@pytest.mark.parametrize("leaves", [(b"one", b"too"), (b"two",), (b"one", b"two", b"three", b"4")])
def test_another_log_is_found(history, leaves):
    history.copies.append(Copy("gw-0", 7, DIGEST, DIGEST, leaves))

    assert rules(history) == ["authentic log"]


@pytest.mark.parametrize("limit", [Limit("gw-0", 12.0, 11), Limit("gw-0", 12.0, 10)])
def test_a_limit_that_nobody_published_or_that_is_over_is_found(history, limit):
    history.limits.append(limit)

    assert rules(history) == ["authentic log"]


def test_what_is_counted_twice_is_found(history):
    history.counted["key_b"] += 1

    assert rules(history) == ["usage"]


def test_what_is_never_counted_is_found(history):
    history.counted["key_b"] -= 1

    assert rules(history) == ["usage"]


def test_what_still_lies_in_a_spool_is_not_lost(history):
    history.counted["key_b"] -= 1
    history.spooled["key_b"] += 1

    assert rules(history) == []


def test_the_last_second_before_a_kill_may_be_lost(history):
    history.counted["key_a"] -= 1

    assert rules(history) == []


def test_more_than_the_last_second_before_a_kill_is_found(history):
    history.counted["key_a"] -= 2

    assert rules(history) == ["usage"]


def test_what_was_admitted_while_somebody_came_to_kill_may_be_lost(history):
    history.decisions.append(said(30.05, key="key_b"))

    assert rules(history) == []


@pytest.mark.parametrize("slow", ["late", "synced"])
def test_a_machine_that_is_slow_to_save_may_lose_so_much_more(history, slow):
    history.decisions.append(said(28.4, key="key_b"))
    assert rules(history) == ["usage"]

    setattr(history, slow, 0.2)

    assert rules(history) == []


def test_a_link_lasts_from_hello_to_its_end_but_for_what_was_harmed():
    events = [
        (1.0, 0, 1, "hello"),
        (9.0, 0, 1, "closed"),
        (10.0, 0, 2, "hello"),
        (2.0, 1, 1, "hello"),
    ]
    harms = [Harm(0, 3.0, 4.0, 6.0), Harm(0, 8.0, 9.5, 12.0)]

    links = clean_links(events, harms)

    assert sorted(links, key=lambda each: (each.gateway, each.began)) == [
        Span(1.0, 3.0, "gw-0"),
        Span(6.0, 8.0, "gw-0"),
        Span(10.0, float("inf"), "gw-0"),
        Span(2.0, float("inf"), "gw-1"),
    ]

"""On random lawful histories: one fold, whoever computes it, and no loss without its notice."""

from collections import Counter
from itertools import pairwise

import pytest

from plimsoll.contract.fold import Policy, fold, policy_of
from plimsoll.contract.history import read
from tests.library.contract import naive
from tests.library.contract.histories import Log, histories
from tests.library.contract.promise import count_losses, late_losses

HISTORIES = 160


@pytest.fixture(scope="module")
def written() -> tuple[list[Log], Counter[str]]:
    return histories(2026, HISTORIES)


@pytest.fixture(scope="module")
def logs(written) -> list[Log]:
    return written[0]


def as_naive(policy: Policy) -> naive.Layer:
    return naive.Layer(
        limits={
            naive.cell_of(held.limit.cell.to_wire()): (held.limit.quota, held.limit.burst)
            for held in policy.limits.values()
        },
        offers=set(policy.offers),
        reserve={
            (tier, metric): amount
            for tier, amounts in policy.counting["reserve"].items()
            for metric, amount in amounts.items()
        },
        keys_max={tier.slug: tier.keys_max for tier in policy.tiers.values()},
    )


def instants(known):
    """All edges, a second before and a second after each."""
    return sorted({edge + off for edge in naive.edges(known) for off in (-1, 0, 1)})


def test_the_histories_hold_enough_of_every_act(written):
    logs, kept = written

    wanted = (
        *("lasting", "temporary_raise", "emergency_cut", "replaced"),
        *("change.held", "change.released", "change.rescheduled", "change.withdrawn"),
        *("change.amended", "policy.changed"),
    )
    assert min(kept[kind] for kind in wanted) > HISTORIES // 2, kept
    assert sum(count_losses(log) for log in logs) > HISTORIES


def test_the_fold_is_that_of_a_second_model_at_every_edge(logs):
    for log in logs:
        known, history = naive.changes(log), read(log)
        for at in instants(known):
            assert as_naive(policy_of(history, at)) == naive.whole(known, at), (log, at)


def test_what_was_known_at_any_time_is_the_fold_of_what_was_logged_by_then(logs):
    for log in logs[: HISTORIES // 8]:
        for known_at in {entry["at"] + off for entry in log[2:] for off in (-1, 0)}:
            known = naive.changes(log, known_at)
            prefix = [entry for entry in log if entry["at"] <= known_at]
            for at in instants(known)[3::9]:
                told = fold(log, at, known_at)
                assert as_naive(told) == naive.whole(known, at), (log, at, known_at)
                assert told == fold(prefix, at)


def test_what_the_log_says_of_each_change_is_what_a_second_model_says(logs):
    for log in logs:
        known, history = naive.changes(log), read(log)
        for number, change in known.items():
            told = history.changes[number]
            assert (told.status.value, told.effective_at, told.expires_at, told.held_by) == (
                change.status,
                change.effective,
                change.expires,
                change.held_by,
            ), (log, number)
            if change.status == "held":
                assert told.notice_left == change.notice_left


def test_what_has_been_in_force_is_never_changed_afterwards(logs):
    for log in logs[: HISTORIES // 4]:
        whole = read(log)
        for size in range(3, len(log)):
            now = log[size]["at"] - 1
            for at in (now, log[size // 2]["at"]):
                assert as_naive(policy_of(read(log[:size]), at)) == as_naive(policy_of(whole, at))


def test_nothing_was_ever_taken_away_without_its_notice(logs):
    for log in logs:
        assert late_losses(log) == [], log


def test_between_two_instants_nothing_moves(logs):
    for log in logs[: HISTORIES // 4]:
        history = read(log)
        edges = history.instants()
        for first, second in pairwise(edges):
            assert policy_of(history, first).limits == policy_of(history, second - 1).limits

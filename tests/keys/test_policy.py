from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from portal.core.anatomy import new_secret
from portal.core.errors import Invalid
from portal.keys.errors import KeysMaxReached, NotAnIssuer
from portal.keys.models import ApiKey, KeyState
from portal.keys.policy import (
    GRACE_MAX_SECONDS,
    NETWORKS_MAX,
    Rules,
    end_of_old,
    must_be_ahead,
    must_end_in_time,
    must_fit,
    must_issue,
    next_end,
    next_notice,
    normal_networks,
    people_in,
)
from portal.orgs.models import Role

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(("live", "most"), [(0, 1), (24, 25), (10_000, None)])
def test_a_key_fits_below_the_tiers_maximum(live, most):
    must_fit(live_keys=live, keys_max=most)


@pytest.mark.parametrize(("live", "most"), [(0, 0), (25, 25), (26, 25)])
def test_a_key_does_not_fit_at_or_above_it(live, most):
    with pytest.raises(KeysMaxReached) as refused:
        must_fit(live_keys=live, keys_max=most)

    assert str(most) in refused.value.public


def test_an_expiry_lies_ahead_or_is_refused():
    must_be_ahead(None, at=NOW)
    must_be_ahead(NOW + timedelta(seconds=1), at=NOW)

    with pytest.raises(Invalid):
        must_be_ahead(NOW, at=NOW)


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ([], None),
        (["", "  "], None),
        (["10.1.2.3/8", "10.0.0.0/8"], ["10.0.0.0/8"]),
        (["::1", "192.0.2.1"], ["192.0.2.1/32", "::1/128"]),
    ],
)
def test_networks_take_one_form(lines, kept):
    assert normal_networks(lines) == kept


@pytest.mark.parametrize("lines", [["x"], ["10.0.0.0/33"], ["10.0.0.0/8, 11.0.0.0/8"]])
def test_what_is_no_network_is_refused(lines):
    with pytest.raises(Invalid):
        normal_networks(lines)


def test_too_many_networks_are_refused():
    with pytest.raises(Invalid):
        normal_networks([f"10.0.0.{number}" for number in range(NETWORKS_MAX + 1)])


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({}, KeyState.ACTIVE),
        ({"expires_at": NOW + timedelta(seconds=1)}, KeyState.ACTIVE),
        ({"expires_at": NOW}, KeyState.EXPIRED),
        ({"paused_at": NOW}, KeyState.PAUSED),
        ({"paused_at": NOW, "expires_at": NOW}, KeyState.EXPIRED),
        ({"revoked_at": NOW, "expires_at": NOW}, KeyState.REVOKED),
    ],
)
def test_a_keys_state_follows_from_its_instants(values, state):
    assert ApiKey(**values).state(NOW) is state


def test_two_secrets_differ_and_their_ends_are_kept():
    one, other = new_secret("plim_live_"), new_secret("plim_live_")

    assert one.text != other.text
    assert (one.text[:14], one.text[-4:]) == (one.prefix, one.last_four)


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("own_end", "grace_seconds", "end"),
    [
        (None, 0, NOW),
        (None, 3600, NOW + timedelta(hours=1)),
        (NOW + DAY, 3600, NOW + timedelta(hours=1)),
        (NOW + DAY, GRACE_MAX_SECONDS, NOW + DAY),
        (NOW - DAY, 3600, NOW - DAY),
    ],
)
def test_an_old_key_ends_after_its_grace_and_never_later_than_it_would_have(
    own_end, grace_seconds, end
):
    assert end_of_old(own_end, at=NOW, grace_seconds=grace_seconds) == end


@pytest.mark.parametrize("grace_seconds", [-1, GRACE_MAX_SECONDS + 1])
def test_a_grace_out_of_range_is_refused(grace_seconds):
    with pytest.raises(Invalid) as refused:
        end_of_old(None, at=NOW, grace_seconds=grace_seconds)

    assert refused.value.field == "grace_seconds"


@pytest.mark.parametrize(
    ("max_days", "life", "end"),
    [(None, None, None), (None, 10, 10), (5, None, 5), (5, 10, 5), (20, 10, 10)],
)
def test_a_successor_is_given_as_long_a_life_within_the_rules(max_days, life, end):
    begun = NOW - 3 * DAY
    expires_at = None if life is None else begun + life * DAY

    found = next_end(Rules(max_days=max_days), created_at=begun, expires_at=expires_at, at=NOW)

    assert found == (None if end is None else NOW + end * DAY)


@pytest.mark.parametrize(
    ("days_left", "then"), [(40, 30), (30, 7), (29, 7), (7, 1), (1.5, 1), (1, None), (0.5, None)]
)
def test_the_next_notice_is_the_first_that_lies_ahead(days_left, then):
    end = NOW + days_left * DAY

    assert next_notice(end, after=NOW) == (None if then is None else end - then * DAY)
    assert next_notice(None, after=NOW) is None


@pytest.mark.parametrize(
    ("rules", "life", "is_fine"),
    [
        (Rules(), None, True),
        (Rules(expiry_required=True), None, False),
        (Rules(expiry_required=True), 5000, True),
        (Rules(max_days=30), None, False),
        (Rules(max_days=30), 30, True),
        (Rules(max_days=30), 30.001, False),
    ],
)
def test_a_key_lives_as_long_as_the_rules_allow(rules, life, is_fine):
    expires_at = None if life is None else NOW + life * DAY

    with nullcontext() if is_fine else pytest.raises(Invalid):
        must_end_in_time(rules, expires_at, at=NOW)


@pytest.mark.parametrize("issuers", [Role.OWNER, Role.MANAGER, Role.DEVELOPER])
@pytest.mark.parametrize("role", Role)
def test_whoever_stands_below_the_lowest_role_that_issues_may_not(issuers, role):
    ranks = list(Role)
    is_fine = ranks.index(role) <= ranks.index(issuers)

    with nullcontext() if is_fine else pytest.raises(NotAnIssuer):
        must_issue(Rules(issuers=issuers), role)


def test_roles_read_as_a_list():
    roles = [Role.OWNER, Role.MANAGER, Role.DEVELOPER]

    said = [people_in(roles[:count]) for count in (1, 2, 3)]

    assert said == ["owners", "owners and managers", "owners, managers and developers"]

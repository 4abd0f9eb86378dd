from datetime import UTC, datetime, timedelta

import pytest

from portal.core.errors import Invalid
from portal.keys.anatomy import new_secret
from portal.keys.errors import KeysMaxReached
from portal.keys.models import ApiKey, KeyState
from portal.keys.policy import NETWORKS_MAX, must_be_ahead, must_fit, normal_networks

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

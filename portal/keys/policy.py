"""Pure rules about keys: how many, until when, from where."""

from collections.abc import Iterable
from datetime import datetime
from ipaddress import ip_network

from portal.core.errors import Invalid
from portal.keys.errors import KeysMaxReached

NETWORKS_MAX = 50


def must_fit(*, live_keys: int, keys_max: int | None) -> None:
    """Raises KeysMaxReached when the tier allows no further live key."""
    if keys_max is not None and live_keys >= keys_max:
        raise KeysMaxReached(
            f"Your tier allows {keys_max} live keys, and you have {live_keys}. "
            "Revoke one that you no longer use."
        )


def must_be_ahead(expires_at: datetime | None, *, at: datetime) -> None:
    """Raises Invalid for an expiry that is over already."""
    if expires_at is not None and expires_at <= at:
        raise Invalid("This instant is past. Choose a later one.", field="expires_at")


def normal_networks(lines: Iterable[str]) -> list[str] | None:
    """Networks in CIDR form, sorted, each once; None where none is named. Raises Invalid."""
    named = [line.strip() for line in lines if line.strip()]
    if len(named) > NETWORKS_MAX:
        raise Invalid(f"Name at most {NETWORKS_MAX} networks.", field="networks")
    try:
        networks = {str(ip_network(line, strict=False)) for line in named}
    except ValueError as error:
        text = "One network a line, such as 203.0.113.0/24 or 2001:db8::/32."
        raise Invalid(text, field="networks") from error
    return sorted(networks) or None

"""Pure rules about keys: how many, until when, from where, by whom."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network

from portal.core.errors import Invalid
from portal.keys.errors import KeysMaxReached, NotAnIssuer
from portal.orgs.models import Role
from portal.orgs.policy import Permission, may

NETWORKS_MAX = 50
GRACE_MAX_SECONDS = 30 * 86_400
LIFE_MAX_DAYS = 3660
REMINDER_DAYS = (30, 7, 1)
ISSUERS = tuple(role for role in Role if may(role, Permission.ISSUE_KEY))


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What an organisation asks of its own keys; the defaults ask for nothing.

    `issuers` is the lowest role that may issue and rotate.
    """

    max_days: int | None = None
    expiry_required: bool = False
    issuers: Role = ISSUERS[-1]
    pause_leaked: bool = False

    @property
    def must_end(self) -> bool:
        """A longest life makes an end compulsory, too."""
        return self.expiry_required or self.max_days is not None

    @property
    def issuing_roles(self) -> tuple[Role, ...]:
        return ISSUERS[: ISSUERS.index(self.issuers) + 1]

    def latest_end(self, at: datetime) -> datetime | None:
        """Until when a key may live that is issued at an instant; None = for ever."""
        return None if self.max_days is None else at + timedelta(days=self.max_days)


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


def must_issue(rules: Rules, role: Role) -> None:
    """Raises NotAnIssuer where the organisation lets fewer people issue keys than the role's rights do."""
    if role not in rules.issuing_roles:
        who = people_in(rules.issuing_roles)
        raise NotAnIssuer(f"By a rule of your organisation, {who} issue and rotate keys here.")


def people_in(roles: Sequence[Role]) -> str:
    """ "owners", "owners and managers", "owners, managers and developers"."""
    *most, last = (f"{role.value}s" for role in roles)
    return f"{', '.join(most)} and {last}" if most else last


def must_end_in_time(rules: Rules, expires_at: datetime | None, *, at: datetime) -> None:
    """Raises Invalid for a key that would live longer than the organisation wants."""
    latest = rules.latest_end(at)
    if expires_at is None and rules.must_end:
        raise Invalid(f"{_rule(rules)} Choose an end.", field="expires_at")
    if latest is not None and expires_at is not None and expires_at > latest:
        text = f"{_rule(rules)} Choose an end up to {latest:%Y-%m-%d %H:%M} UTC."
        raise Invalid(text, field="expires_at")


def _rule(rules: Rules) -> str:
    if rules.max_days is None:
        return "By a rule of your organisation, each key has an end."
    days = "1 day" if rules.max_days == 1 else f"{rules.max_days:,} days"
    return f"By a rule of your organisation, a key lives for at most {days}."


def next_end(
    rules: Rules, *, created_at: datetime, expires_at: datetime | None, at: datetime
) -> datetime | None:
    """When a successor ends unless told: after as long a life as its predecessor was given.

    Never later than the rules allow; None = never by itself.
    """
    latest = rules.latest_end(at)
    if expires_at is None:
        return latest
    end = at + (expires_at - created_at)
    return end if latest is None else min(end, latest)


def end_of_old(expires_at: datetime | None, *, at: datetime, grace_seconds: int) -> datetime:
    """When a rotated key ends: after the grace, and never later than it would have. Raises Invalid."""
    if not 0 <= grace_seconds <= GRACE_MAX_SECONDS:
        text = f"Choose from 0 to {GRACE_MAX_SECONDS:,} seconds, which are 30 days."
        raise Invalid(text, field="grace_seconds")
    end = at + timedelta(seconds=grace_seconds)
    return end if expires_at is None else min(end, expires_at)


def next_notice(expires_at: datetime | None, *, after: datetime) -> datetime | None:
    """When to tell people next that a key ends. Who comes late tells once, not three times."""
    if expires_at is None:
        return None
    instants = (expires_at - timedelta(days=days) for days in REMINDER_DAYS)
    return min((at for at in instants if at > after), default=None)


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

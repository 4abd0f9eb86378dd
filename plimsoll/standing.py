"""How a verified log stands: its history, and what follows from it at an instant.

A standing is never changed, only followed by another one, so that threads that ask need no lock.
What it keeps for later (the policy in force, what is announced) depends on nothing but itself.
"""

from bisect import bisect_right
from typing import NamedTuple

from plimsoll.contract.effect import Ahead, upcoming_tightenings
from plimsoll.contract.fold import Policy, policy_of
from plimsoll.contract.history import History
from plimsoll.contract.limits import ALL_MODELS
from plimsoll.errors import LogProblem


class _InForce(NamedTuple):
    """A policy with the tightenings ahead, and the half-open span of seconds they are right in."""

    policy: Policy
    ahead: tuple[Ahead, ...]
    start: float
    end: float


class Standing:
    """The log at one size. `history` ends where `problem`, if there is one, stopped the fold.

    `judged` is the number of entries, from the first, that were found lawful.
    """

    def __init__(
        self,
        history: History,
        *,
        size: int,
        problem: LogProblem | None,
        known_tiers: frozenset[str],
    ) -> None:
        """`known_tiers` were offered something by what stands before the newest changes."""
        self.history = history
        self.size = size
        self.problem = problem
        self.judged = size if problem is None or problem.seq is None else problem.seq
        self.known_tiers = known_tiers
        self._instants = history.instants()
        self._in_force: _InForce | None = None

    @classmethod
    def first(cls, history: History, *, size: int, problem: LogProblem | None) -> "Standing":
        """A log as it was stored."""
        tiers = _offering(history, since=0)
        return cls(history, size=size, problem=problem, known_tiers=tiers)

    def followed_by(self, history: History, *, size: int, problem: LogProblem | None) -> "Standing":
        """The same log with more entries."""
        tiers = self.known_tiers | _offering(history, since=self.size)
        return Standing(history, size=size, problem=problem, known_tiers=tiers)

    def stopped(self, problem: LogProblem, *, size: int) -> "Standing":
        """The same with entries behind it that are not folded."""
        return self.followed_by(self.history, size=size, problem=problem)

    # ---- asking ----

    def policy(self, at: float) -> Policy:
        """The limits in force at a Unix second; folded once per effective instant."""
        return self._at(at).policy

    def ahead(self, at: float, *, tier: str, model: str | None) -> Ahead | None:
        """The nearest announced tightening that will meet these requests; None if none will.

        Of several at one instant the one that was announced first.
        """
        met = {(tier, model), (tier, ALL_MODELS)}
        return next((each for each in self._at(at).ahead if met & each.touches), None)

    def holds_until(self, at: float) -> float:
        """The next instant at which another policy may be in force; infinity if none is known."""
        place = bisect_right(self._instants, at)
        return self._instants[place] if place < len(self._instants) else float("inf")

    # ---- inside ----

    def _at(self, at: float) -> _InForce:
        known = self._in_force
        if known is None or not known.start <= at < known.end:
            known = self._in_force = self._fold(at)
        return known

    def _fold(self, at: float) -> _InForce:
        place = bisect_right(self._instants, at)
        start = self._instants[place - 1] if place else float("-inf")
        second = int(at)
        ahead = upcoming_tightenings(self.history, second)
        return _InForce(policy_of(self.history, second), ahead, start, self.holds_until(at))


def _offering(history: History, *, since: int) -> frozenset[str]:
    """The tiers that changes from entry `since` on offer something on."""
    found: set[str] = set()
    for change in reversed(history.changes.values()):
        if change.seq < since:
            break
        found |= {offer.tier for offer in change.announcement.offers if offer.offered}
    return frozenset(found)

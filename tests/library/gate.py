"""A gateway under a few published rows and one key, asked in one word."""

from collections.abc import Callable

from plimsoll.decision import Reading
from plimsoll.testing import FakeKey
from tests.library.rig import Rig

OUTPUT = {"metric": "output_tokens"}


class Gate:
    """A rig with one key, asked in one word."""

    def __init__(self, rig: Rig, org: str, key: FakeKey) -> None:
        self.rig, self.org, self.key = rig, org, key
        self.clock, self.portal = rig.clock, rig.portal

    def ask(self, **asked: object) -> tuple[str, int | None]:
        """The decision's id (empty when refused) and its exact wait."""
        decision = self.rig.enforcer.check(self.key.secret, **{"model": "m", **asked})  # type: ignore[arg-type]
        return decision.id, decision.retry_after_ms

    def settle(self, decision_id: str, **took: object) -> bool:
        return self.rig.enforcer.settle(decision_id, **took)  # type: ignore[arg-type]

    def used(self) -> dict[str, int]:
        return {each.name: each.used for each in self.readings()}

    def readings(self) -> tuple[Reading, ...]:
        return self.rig.enforcer.limits(self.key.secret).limits


MakeGate = Callable[..., Gate]

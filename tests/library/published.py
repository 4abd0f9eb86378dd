"""A gateway with one limit that changes, and one key that meets it."""

from plimsoll.decision import Decision
from tests.library.rig import Rig

HOUR, DAY = 3600, 86_400
MONTH = 30 * DAY

ROW = {"tier": "build", "model": "m", "metric": "requests", "kind": "bucket", "period": 60}


def change(quota: int, **fields: object) -> dict[str, object]:
    """A change file that gives the one row another quota."""
    return {"rows": [{**ROW, "quota": quota}], **fields}


class Gate:
    """A gateway with one key."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.portal, self.clock = rig, rig.portal, rig.clock
        self.key = rig.portal.add_key(rig.portal.add_org("build"))

    def level(self) -> None:
        if not self.portal.is_down:
            self.rig.level()

    def ask(self) -> Decision:
        self.level()
        return self.rig.enforcer.check(self.key.secret, model="m")

    def quota(self) -> int:
        self.level()
        (limit,) = self.rig.enforcer.limits(self.key.secret).limits
        return limit.quota

    def used(self) -> int:
        self.level()
        (limit,) = self.rig.enforcer.limits(self.key.secret).limits
        return limit.used

    def cut_off(self) -> None:
        """Let the portal be away from now on."""
        self.level()
        self.portal.is_down = True
        self.portal.drop()

    def quotas(self, *seconds: int) -> list[int]:
        """The quota after each of several waits."""
        found = []
        for wait in seconds:
            self.clock.advance(wait)
            found.append(self.quota())
        return found

    @property
    def problem(self) -> str | None:
        self.level()
        found = self.rig.replica.log_problem
        return None if found is None else found.code

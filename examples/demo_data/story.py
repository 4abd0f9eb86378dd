"""The whole story in its order: what people do, what the jobs do of themselves, and the calls."""

from collections.abc import Sequence
from typing import NamedTuple

from examples.demo_data import access, keys, limits, people, talk
from examples.demo_data.customs import HABITS
from examples.demo_data.gateways import Fleet
from examples.demo_data.traffic import Traffic
from examples.demo_data.world import DAY, Scene, World
from portal.core.jobs import Job, run_all
from portal.usage import warning
from portal.web.cli import jobs_of

HOUR = 3600
OPENED_DAYS = 75
USED_DAYS = 35
# What happened long ago need not be reported by the hour.
COARSE_SECONDS, FINE_SECONDS = 6 * HOUR, HOUR
FINE_DAYS = 2

SCENES = sorted(
    (*people.SCENES, *keys.SCENES, *limits.SCENES, *access.SCENES, *talk.SCENES),
    key=lambda scene: -scene.days_before,
)


class Stop(NamedTuple):
    """An instant to stop at: for a scene, or for a round of reports; `is_working`: of the jobs, too."""

    at: int
    scene: Scene | None = None
    is_working: bool = False


class Story:
    """The portal, its gateways and its jobs, moved on together."""

    def __init__(self, world: World) -> None:
        """The gateways are enrolled, and nothing else has happened."""
        self._world = world
        self._fleet = Fleet(world)
        self._jobs = jobs_of(world.app)
        self._warn = warning.jobs(world.sessions, url=world.settings.url)
        begins_at = (world.ends_at - USED_DAYS * DAY) // HOUR * HOUR + HOUR
        self._stops = _stops(world.ends_at, begins_at)
        self._begins_at = begins_at

    def tell(self) -> Traffic:
        """Live through all of it; returns what was called."""
        world, fleet = self._world, self._fleet
        traffic = Traffic(
            world, fleet, HABITS, begins_at=self._begins_at, on_wall=self._report_at_once
        )
        try:
            for stop in self._stops:
                traffic.run_until(stop.at)
                self._make(stop)
            traffic.settle_all()
            self._report_at_once()
            fleet.level()
            self._work(self._jobs)
            fleet.level()
        finally:
            fleet.close()
        return traffic

    def _make(self, stop: Stop) -> None:
        world, is_called = self._world, stop.at >= self._begins_at
        if stop.scene is not None:
            stop.scene.play(world)
        elif is_called:
            self._report_at_once()
        # What is announced opens a thread, and is mailed: people answer it before the next day.
        if stop.is_working or world.has_logged():
            # Heard just now, as they would be every few seconds: else a job would miss them.
            self._fleet.level()
            self._work(self._jobs)
        # Before there are calls, gateways need not follow each step.
        if (is_called or stop.is_working) and not self._fleet.is_level():
            self._fleet.level()

    def _report_at_once(self) -> None:
        self._fleet.report()
        self._work(self._warn)

    def _work(self, jobs: Sequence[Job]) -> None:
        """One pass. None may fail: what it has not done would be missed."""
        failed = [name for name, done in run_all(jobs).items() if done < 0]
        if failed:
            raise RuntimeError(f"jobs failed: {', '.join(failed)}")


def _stops(ends_at: int, begins_at: int) -> list[Stop]:
    """Everything that happens at its instant, in order, with a pass of the jobs each day."""
    fine_from = ends_at - FINE_DAYS * DAY
    days = set(range(ends_at - OPENED_DAYS * DAY, ends_at, DAY))
    rounds = {
        *range(begins_at, fine_from, COARSE_SECONDS),
        *range(fine_from, ends_at, FINE_SECONDS),
    }
    stops = [
        *(Stop(int(ends_at - each.days_before * DAY), each) for each in SCENES),
        *(Stop(at, is_working=True) for at in days),
        *(Stop(at) for at in rounds - days),
        Stop(ends_at, is_working=True),
    ]
    return sorted(stops, key=lambda stop: stop.at)

"""From the click on "Assign the tier" to the new quota at every gateway, for an organisation with 10,000 keys.

One record changes, whatever the number of keys; beside it a bare commit and a bare loopback request.
"""

import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx2

from bench.figures import keep, percentiles
from bench.revoke import (
    PATIENCE_SECONDS,
    TOKEN,
    bare_commits,
    bare_requests,
    gateway,
    sign_in,
    wait_until,
)
from bench.world import World, key_row, make, serving
from plimsoll.enforcer import Enforcer
from portal.accounts.models import User
from portal.core.db import transaction
from portal.sync.queries import get_head

GATEWAYS = 50
KEYS = 10_000
ROUNDS = 10
MODEL = "sonnet-5"
# Requests a minute to that model on the two tiers that the rounds move between.
QUOTAS = {"build": 5000, "scale": 10_000}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = make(Path(folder) / "assign", threads=2 * GATEWAYS + 10)
        with serving(world) as url:
            keep("assign", _measure(world, url))


def _measure(world: World, url: str) -> dict[str, object]:
    _make_staff(world)
    secret = world.issue(1)[0][1]
    _add_keys(world, KEYS - 1)
    with ExitStack() as stack:
        client = stack.enter_context(httpx2.Client(base_url=url, timeout=PATIENCE_SECONDS))
        sign_in(client)
        enforcers = [
            stack.enter_context(gateway(world, url, name=f"gw-{number}"))
            for number in range(GATEWAYS)
        ]
        for enforcer in enforcers:
            wait_until(lambda held=enforcer: bool(held.check(secret, model=MODEL)))
        commits = bare_commits(world.settings.data)
        loopback = bare_requests(client)
        before = _revision(world)
        first, last = [], []
        for number in range(ROUNDS):
            tier = list(QUOTAS)[number % len(QUOTAS)]
            times = _assign(client, enforcers, tier=tier, secret=secret)
            first.append(min(times))
            last.append(max(times))
        revisions = _revision(world) - before
    bare = statistics.median(commits) + statistics.median(loopback)
    name = f"{KEYS:,} keys, {GATEWAYS} gateways"
    return {
        f"{name}: new quota at the last": percentiles(last),
        f"{name}: new quota at the first": percentiles(first),
        f"{name}: bare commit": percentiles(commits),
        f"{name}: bare loopback request": percentiles(loopback),
        f"{name}: ratio to bare commit + loopback": round(statistics.median(last) / bare, 1),
        f"{name}: revisions per assignment": revisions / ROUNDS,
    }


def _make_staff(world: World) -> None:
    """The owner of the keys is one of the staff here, so that one person signs in."""
    with world.sessions() as session, transaction(session):
        session.get_one(User, world.owner.user_id).is_admin = True


def _add_keys(world: World, count: int) -> None:
    with world.sessions() as session, transaction(session):
        for number in range(count):
            row = key_row(f"key_{number:026d}", org_id=world.org_id, owner=world.owner)
            session.add(row)


def _revision(world: World) -> int:
    with world.sessions() as session:
        return get_head(session).revision


def _assign(
    client: httpx2.Client, enforcers: list[Enforcer], *, tier: str, secret: str
) -> list[float]:
    """Seconds from sending the form to the new quota, by gateway."""
    address = "/admin/orgs/bench/tier"
    page = client.get(address).text
    seen = page.partition('name="seen"')[2].partition('value="')[2].partition('"')[0]
    token = TOKEN.search(page)
    assert token, "the page has no form"
    data = {
        "csrf_token": token[1],
        "tier": tier,
        "seen": seen,
        "reason": "Bench.",
        "for_abuse": "y",
    }
    post = threading.Thread(target=client.post, args=(address,), kwargs={"data": data})
    waiting, times = list(enforcers), []
    began = time.perf_counter()
    post.start()
    while waiting:
        left = [each for each in waiting if _quota(each, secret) != QUOTAS[tier]]
        times += [time.perf_counter() - began] * (len(waiting) - len(left))
        waiting = left
        assert time.perf_counter() - began < PATIENCE_SECONDS, f"{len(waiting)} gateways wait"
        time.sleep(0.0002)  # the followers run in this process and want the interpreter
    post.join()
    return times


def _quota(enforcer: Enforcer, secret: str) -> int:
    limits = enforcer.check(secret, model=MODEL).limits
    return next((each.quota for each in limits if each.metric == "requests"), 0)


if __name__ == "__main__":
    main()

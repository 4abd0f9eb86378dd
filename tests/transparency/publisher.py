"""Publishes changes from many threads at once: `publisher.py DATABASE_URL DATA FIRST COUNT`.

Each adds a model of its own name to the tier build, so that every one of them is lawful whichever
comes first.
"""

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from plimsoll.contract.draft import Draft, parse_draft
from portal.changelog.commands import publish_change
from portal.config import Settings
from portal.core.actor import CLI
from portal.core.db import Sessions
from portal.transparency.signer import log_transaction
from tests.support.worlds import opened, register_records


def draft(number: int) -> Draft:
    slug = f"model-{number}"
    return parse_draft(
        {
            "title": f"A model named {slug}",
            "reason": "It is there now.",
            "models": [{"slug": slug, "name": slug}],
            "offers": [{"tier": "build", "model": slug}],
        }
    )


def publish(sessions: Sessions, settings: Settings, number: int) -> int:
    """The number that the change got."""
    with (
        sessions() as session,
        log_transaction(session, sessions, settings=settings, actor=CLI),
    ):
        return publish_change(session, actor=CLI, draft=draft(number)).number


def publish_at_once(sessions: Sessions, settings: Settings, numbers: Iterable[int]) -> list[int]:
    numbers = list(numbers)
    with ThreadPoolExecutor(len(numbers)) as pool:
        return list(pool.map(lambda number: publish(sessions, settings, number), numbers))


def main(url: str, data: str, first: str, count: str) -> None:
    settings = Settings(database_url=url, data=Path(data), secret_key="for tests")
    register_records()
    with opened(settings) as sessions:
        made = publish_at_once(sessions, settings, range(int(first), int(first) + int(count)))
    sys.stdout.write(" ".join(map(str, made)))


if __name__ == "__main__":
    main(*sys.argv[1:])

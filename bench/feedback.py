"""The board's list and search with 100, 10,000 and 200,000 threads: flat by cursor, wherever it stands."""

import random
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import Engine, insert, select

from bench.figures import keep
from bench.world import World, make
from portal.core import clock
from portal.core.ids import new_id
from portal.core.paging import Order, fetch_page
from portal.factory import create_app
from portal.feedback.models import Category, Kind, Post, State, Thread, ThreadWord, Visibility

SIZES = (100, 10_000, 200_000)
# No board grows larger after this: the figures then say how large it came to be.
SECONDS_MAX = 150.0
TOGETHER = 5_000
VIEWS = 20
WORDS = [f"word{number}" for number in range(2_000)]
WORDS_A_THREAD = 5
COMMON, RARE = "limit", "narwhal"


def main() -> None:
    gives_up_at = time.monotonic() + SECONDS_MAX
    with tempfile.TemporaryDirectory() as folder:
        worlds = [make(Path(folder) / f"{size}", threads=1) for size in SIZES]
        counts = [
            _fill(world, size, gives_up_at) for world, size in zip(worlds, SIZES, strict=True)
        ]
        figures = [_measure(world, count) for world, count in zip(worlds, counts, strict=True)]
    result: dict[str, Any] = {
        f"{count:,} threads (ms)": found for count, found in zip(counts, figures, strict=True)
    }
    result["largest to smallest"] = {
        name: round(figures[-1][name] / figures[0][name], 2) for name in figures[0]
    }
    keep("feedback", result)


def _fill(world: World, size: int, gives_up_at: float) -> int:
    """A board of so many threads, or fewer; all of them open, each with five words and one in all."""
    chance, engine = random.Random(size), world.sessions.kw["bind"]  # noqa: S311 -- the same board each time
    for first in range(1, size + 1, TOGETHER):
        if time.monotonic() > gives_up_at:
            return first - 1
        _insert(engine, range(first, min(first + TOGETHER, size + 1)), chance, last=size)
    return size


def _insert(engine: Engine, numbers: range, chance: random.Random, *, last: int) -> None:
    threads, posts, words, now = [], [], [], clock.now()
    kinds, categories = list(Kind), list(Category)
    for number in numbers:
        at = now - timedelta(minutes=last - number)
        thread_id, chosen = new_id("thr"), chance.sample(WORDS, WORDS_A_THREAD)
        title = " ".join([COMMON, *chosen])
        threads.append(
            {
                "number": number,
                "id": thread_id,
                "kind": kinds[number % len(kinds)],
                "title": title,
                "category": categories[number % len(categories)],
                "visibility": Visibility.PUBLIC,
                "state": State.OPEN,
                "created_at": at,
                "active_at": at,
                "votes": chance.randrange(500),
                "replies": 0,
            }
        )
        posts.append({"id": new_id("pst"), "thread_id": thread_id, "position": 0, "text": title})
        found = [COMMON, *chosen, *([RARE] if number == last // 2 else [])]
        words += [{"word": word, "number": number} for word in found]
    with engine.begin() as connection:
        connection.execute(insert(Thread), threads)
        connection.execute(insert(Post), posts)
        connection.execute(insert(ThreadWord), words)


def _measure(world: World, count: int) -> dict[str, float]:
    client = create_app(world.settings, sessions=world.sessions).test_client()
    order = Order(Thread.active_at, Thread.number)
    with world.sessions() as session:
        deep = select(Thread).where(Thread.number <= max(count // 2, 30))
        cursor = fetch_page(session, deep, order=order, cursor=None, size=25).after
    return {
        "list": _page(client, "/feedback"),
        "deep": _page(client, f"/feedback?page={cursor}"),
        "votes": _page(client, "/feedback?sort=votes"),
        "filtered": _page(client, "/feedback?kind=problem&category=keys"),
        "rare word": _page(client, f"/feedback?q={RARE}"),
        "common word": _page(client, f"/feedback?q={COMMON}"),
        "two words": _page(client, f"/feedback?q={COMMON}+{WORDS[7]}"),
        "clocks": _page(client, "/feedback/clocks"),
    }


def _page(client: FlaskClient, address: str) -> float:
    """Milliseconds, the median of some views."""
    took = []
    for _ in range(VIEWS):
        began = time.perf_counter()
        assert client.get(address).status_code == 200, address
        took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1000, 2)


if __name__ == "__main__":
    main()

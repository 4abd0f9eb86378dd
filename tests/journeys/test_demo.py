"""`make demo`: ten weeks of a portal's life, made once and looked at from all sides."""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import func, select

import app as product
from examples.demo_data import habits, making, story
from examples.demo_data.customs import HABITS
from examples.demo_data.world import DAY, DemoClock, address
from plimsoll.verify import verify
from portal.changelog.models import Change
from portal.config import Settings
from portal.core import clock as core_clock
from portal.core.db import transaction
from portal.factory import create_app
from portal.feedback.models import Thread
from portal.orgs.models import Org
from portal.serve import Server
from portal.sync.views import hub_of
from portal.tiers.commands import found_org
from portal.usage.models import RefusedHour, UsageDay, UsageWarning
from tests.support.factories import actor_of, make_user
from tests.support.product import TOP
from tests.support.visit import Visit

NOW = 1_795_453_200  # Monday, 2026-11-23 17:00 UTC
CPU_SECONDS = 60.0
SPANS = ("hour", "day", "week", "month")
WARNINGS = "/orgs/tidewater-maps/usage/warnings"
# Of addresses that differ in names and numbers only, so many are looked at.
LIKE = 6
NOT_FOLLOWED = ("/logout", "/static/")


def plan_of(data: Path, **values: str) -> product.Plan:
    return product.read_plan({"PORTAL_DATA": str(data), **values})


# ---- where it may be made ----


def test_a_portal_with_organisations_is_left_as_it_is(tmp_path):
    plan = plan_of(tmp_path / "data")
    app = create_app(plan.settings)
    product.prepare(plan, app)
    sessions = app.extensions["portal.sessions"]
    with sessions() as session, transaction(session):
        owner = make_user(session, email="ada@example.com")
        found_org(session, actor=actor_of(owner), owner=owner, name="Acme")

    with pytest.raises(making.NotHere, match="has organisations already"):
        making.make(plan, ends_at=core_clock.timestamp())

    with sessions() as session:
        assert session.scalars(select(Org.name)).all() == ["Acme"]
    assert not making.is_made(plan.settings.data)
    close(app)


def test_no_demo_is_made_in_production(tmp_path):
    data = tmp_path / "data"
    outside = {name: text for name, text in os.environ.items() if not name.startswith("PORTAL_")}
    environment = {
        **outside,
        "PORTAL_ENV": "production",
        "PORTAL_URL": "https://portal.example.com",
        "PORTAL_SECRET_KEY": "x" * 40,
        "PORTAL_DATA": str(data),
    }
    command = [sys.executable, "-m", "examples.demo_data", "make"]

    done = subprocess.run(
        command, cwd=TOP, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert "in development only" in done.stderr
    assert not (data / "portal.db").exists()


# ---- habits ----


def test_the_same_hour_has_the_same_calls_and_another_end_others():
    hour = NOW - 3 * DAY

    first, again = (habits.calls_of(HABITS[0], hour, end=NOW) for _ in range(2))

    assert first
    assert first == again
    assert first != habits.calls_of(HABITS[0], hour, end=NOW + 3600)


def test_who_has_stopped_does_not_go_on_and_all_others_do():
    hour = NOW + 18 * 3600
    calling = {
        habit.org
        for habit in HABITS
        if any(habits.calls_of(habit, hour + n * 3600, end=NOW, goes_on=True) for n in range(24))
    }

    assert calling == {habit.org for habit in HABITS} - {"mole", "barnacle", "lanternfish"}
    assert not any(habits.calls_of(habit, hour, end=NOW) for habit in HABITS)


# ---- the whole of it ----


@dataclasses.dataclass
class Made:
    """The demo, and what it took."""

    settings: Settings
    summary: dict
    cpu_seconds: float


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    plan = plan_of(tmp_path_factory.mktemp("demo") / "data")
    began = time.process_time()
    summary = making.make(plan, ends_at=NOW)
    return Made(plan.settings, summary, time.process_time() - began)


@pytest.fixture
def app(made) -> Iterator:
    with core_clock.running(DemoClock(NOW)):
        opened = create_app(made.settings)
        opened.testing = True
        yield opened
        close(opened)


def close(app) -> None:
    hub_of(app).stop()
    app.extensions["portal.sessions"].kw["bind"].dispose()


def sign_in(app, name: str) -> Visit:
    visit = Visit(app.test_client())
    form = visit.get("/login").form()
    form.fill(email=address(name), password=making.PASSWORD)
    answer = visit.client.post(form.action, data=form.values)
    assert answer.status_code == 303, answer.text
    return visit


def crawl(visit: Visit, *starts: str) -> dict[str, int]:
    """The status of everything that can be reached by links: of each kind of address the first few."""
    found: dict[str, int] = {}
    kinds: Counter[str] = Counter()
    waiting = list(starts)
    while waiting:
        path = waiting.pop(0)
        kind = re.sub(r"[a-z]{3,4}_[0-9a-z]{26}|\d+|/orgs/[^/]+", "…", path.partition("?")[0])
        if path in found or kinds[kind] >= LIKE or path.startswith(NOT_FOLLOWED):
            continue
        kinds[kind] += 1
        answer = visit.client.get(path)
        # Read to the end: exports come as streams.
        text, found[path] = answer.get_data(as_text=True), answer.status_code
        if answer.mimetype == "text/html":
            waiting += [unescape(each) for each in re.findall(r'href="(/[^"#]*)', text)]
    return found


def digest_of(data: Path) -> str:
    """What a demo came to, without the ids and secrets that are new each time."""
    plan = plan_of(data)
    making.make(plan, ends_at=NOW)
    made_app = create_app(plan.settings)
    with made_app.extensions["portal.sessions"]() as session:
        of = {org.id: org.slug for org in session.scalars(select(Org))}
        days, refused, warned = (
            sorted([of[row.org_id], *(getattr(row, name) for name in names)] for row in rows)
            for rows, names in (
                (session.scalars(select(UsageDay)), ("day", "requests", "refused", "input_tokens")),
                (session.scalars(select(RefusedHour)), ("name", "hour", "count")),
                (session.scalars(select(UsageWarning)), ("name", "threshold", "until", "used")),
            )
        )
        threads = session.execute(select(Thread.number, Thread.title, Thread.state)).all()
        changes = session.scalars(select(Change.number)).all()
    close(made_app)
    told = [days, sorted(refused), sorted(warned), [list(row) for row in threads], list(changes)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@pytest.mark.long
class TestTheDemo:
    def test_it_is_made_in_time(self, made):
        assert made.cpu_seconds < CPU_SECONDS

    def test_the_portal_counts_what_the_callers_count(self, made, app):
        with app.extensions["portal.sessions"]() as session:
            sums = session.execute(
                select(
                    UsageDay.org_id,
                    func.sum(UsageDay.requests),
                    func.sum(UsageDay.refused),
                    func.sum(UsageDay.input_tokens),
                    func.sum(UsageDay.output_tokens),
                ).group_by(UsageDay.org_id)
            ).all()
        names = ("requests", "refused", "input_tokens", "output_tokens")
        by_org = {row[0]: dict(zip(names, row[1:], strict=True)) for row in sums}

        called = {made.summary["orgs"][name]: told for name, told in made.summary["called"].items()}

        assert by_org == {
            org: {name: told.get(name, 0) for name in names} for org, told in called.items()
        }
        assert sum(each["requests"] for each in by_org.values()) > 100_000

    def test_log_records_and_journal_hold(self, app, tmp_path):
        runner = app.test_cli_runner()
        for command in (["sync", "check"], ["journal", "check"]):
            done = runner.invoke(args=command)
            assert done.exit_code == 0, done.output
        server = Server(app, host="127.0.0.1", port=0, threads=4)
        server.start()
        try:
            url = f"http://127.0.0.1:{server.port}"
            steps = list(verify(url, keep_in=tmp_path / "kept", clock=DemoClock(NOW)))
        finally:
            server.stop()
        assert steps[-1].step == "limits"

    @pytest.mark.parametrize(
        ("who", "starts", "least"),
        [
            (None, ("/", "/limits", "/changelog", "/feedback", "/docs", "/dev/mail"), 60),
            ("mara", ("/",), 110),
            ("ken", ("/",), 60),
            ("admin", ("/", "/admin/orgs"), 110),
        ],
    )
    def test_everything_that_is_linked_answers(self, app, who, starts, least):
        found = crawl(Visit(app.test_client()) if who is None else sign_in(app, who), *starts)

        refused = {path for path, status in found.items() if status >= 400}
        # A viewer is told on that page that it takes a role which may write.
        assert not [path for path in refused if (who, path[:13]) != ("ken", "/feedback/new")]
        assert len(found) > least

    def test_a_worried_developer_finds_what_there_is_to_know(self, app):
        mara = sign_in(app, "mara")
        overview, usage = mara.get("/orgs/tidewater-maps"), mara.get("/orgs/tidewater-maps/usage")

        assert "its limits get tighter" in overview.text
        assert "limit 11,500,000 from 2026-12-18" in overview.text
        assert "Reached 95 %" in overview.text
        assert "may be too low" not in overview.text
        for page in (mara.get("/orgs/tidewater-maps/usage", span=span) for span in SPANS):
            assert page.all("svg.chart-drawing"), page.url
        assert "The key was paused" in usage.text
        assert "Fable 5 · output tokens per minute" in mara.get(WARNINGS).text

    def test_each_kind_of_change_key_request_and_thread_is_there(self, app):
        changelog = Visit(app.test_client()).get("/changelog").text
        keys = sign_in(app, "mara").get("/orgs/tidewater-maps/keys").text
        requests = sign_in(app, "admin").get("/admin/requests").text
        feedback = Visit(app.test_client()).get("/feedback").text

        for text, words in (
            (changelog, ("withdrawn", "held", "announced", "in force", "ended")),
            (keys, ("active", "paused", "revoked", "expired")),
            (requests, ("Nightwatch Research", "Kelp Forest Labs")),
            (feedback, ("Wider limits at night", "What does t mean in RateLimit?")),
        ):
            assert not [word for word in words if word.lower() not in text.lower()]

    def test_refusals_follow_the_limit_that_was_lowered(self, app):
        with app.extensions["portal.sessions"]() as session:
            rows = session.execute(
                select(RefusedHour.hour, RefusedHour.name, RefusedHour.count)
                .join(Org, Org.id == RefusedHour.org_id)
                .where(Org.slug == "lanternfish-studio")
            ).all()

        assert rows
        assert {name for _, name, _ in rows} == {"start.fable-5.input_tokens.1m"}
        assert max(hour for hour, *_ in rows) > NOW - DAY

    def test_it_is_the_same_each_time(self, tmp_path, monkeypatch):
        monkeypatch.setattr(story, "HABITS", [fewer(habit) for habit in HABITS])

        assert digest_of(tmp_path / "first") == digest_of(tmp_path / "again")


def fewer(habit: habits.Habit) -> habits.Habit:
    bursts = [burst._replace(calls=burst.calls // 4) for burst in habit.bursts]
    return dataclasses.replace(habit, a_day=habit.a_day / 8, bursts=bursts)

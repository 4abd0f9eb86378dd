"""A running portal is backed up, lost and restored under a gateway that was ahead of the backup.

What the operator types is typed here: `backup make`, `backup drill`, `backup restore`, `log recover`.
"""

import os
import subprocess
import sys

import pytest
from sqlalchemy import select

from plimsoll.gateway import Gateway
from portal.core.db import transaction
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from portal.operations.models import Alert, Kind
from portal.orgs.models import Org
from portal.transparency import keyfile
from tests.support.databases import Database, programs
from tests.support.factories import make_key
from tests.support.gateways import Followed
from tests.support.product import Started, eventually, free_port
from tests.support.wire import enrol
from tests.support.worlds import TOP, make_settings, opened
from tests.transparency.publisher import publish

pytestmark = [pytest.mark.long, pytest.mark.processes]
# Commands take a second each on a quiet machine.
PATIENCE = 120


class Site:
    """A portal of an operator: its settings, its commands, and its process."""

    def __init__(self, settings, port, said):
        self.settings = settings
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._said = said
        self._process = None

    @property
    def environment(self):
        kept = {name: text for name, text in os.environ.items() if not name.startswith("PORTAL_")}
        own = {
            "PORTAL_DATA": str(self.settings.data),
            "PORTAL_DATABASE_URL": self.settings.database_url,
            "PORT": str(self.port),
        }
        if not self.settings.database_url.startswith("sqlite"):
            own["PATH"] = f"{programs()}{os.pathsep}{kept['PATH']}"
        return {**kept, **own}

    def flask(self, *words, status=0, **told):
        """What a command says; `told` stands in its environment."""
        done = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "app", *map(str, words)],
            cwd=TOP,
            env={**self.environment, **told},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self):
        started = Started.launch([sys.executable, "app.py", "portal"], self.environment, self._said)
        self._process = started.process
        started.wait_for_lines(3)

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def issue(self, org_id):
        with opened(self.settings) as sessions, sessions() as session, transaction(session):
            issued = make_key(session, org=session.get_one(Org, org_id))
            return issued.key.id, issued.secret.text

    def revoke(self, cast, key_id):
        with opened(self.settings) as sessions, sessions() as session, transaction(session):
            key = session.get_one(ApiKey, key_id)
            revoke_key(session, actor=cast.ada.actor, key=key, reason="leaked")

    def publish(self, number):
        with opened(self.settings) as sessions:
            return publish(sessions, self.settings, number)

    def alerts(self):
        with opened(self.settings) as sessions, sessions() as session:
            return {alert.kind for alert in session.scalars(select(Alert))}


class Ahead:
    """What there is of a gateway that knows more than the backup does."""

    def __init__(self, backup, follower, revoked, other):
        self.backup = backup
        self.follower = follower
        self.replica = follower.gateway.replica
        self.revoked, self.other = revoked, other


@pytest.fixture
def another(database, worlds, tmp_path):
    """Settings with an empty database and an empty data folder."""
    made = []

    def make(name):
        folder = tmp_path / name
        if database.is_sqlite:
            return make_settings(Database("sqlite", f"sqlite:///{folder}/portal.db"), folder)
        server = worlds._server("postgresql")
        made.append((server, server.create()))
        return make_settings(made[-1][1], folder)

    yield make
    for server, each in made:
        server.drop(each)


@pytest.fixture
def site(settings, cast, tmp_path):
    made = Site(settings, free_port(), tmp_path / "said.txt")
    yield made
    made.kill()


@pytest.fixture
def ahead(site, cast, tmp_path):
    """A backup, and a gateway that heard of a revocation and of a change after it."""
    revoked, other = site.issue(cast.acme.id), site.issue(cast.acme.id)
    site.start()
    with opened(site.settings) as sessions:
        token = enrol(sessions)
    with Gateway(tmp_path / "gateway", portal_url=site.url, token=token) as gateway:
        follower = Followed(gateway)
        eventually(lambda: gateway.replica.is_ready, seconds=PATIENCE)
        backup = tmp_path / "backup"
        site.flask("backup", "make", backup)
        site.revoke(cast, revoked[0])
        assert site.publish(2) == 2
        eventually(lambda: follower.code(revoked[1]) == "key_revoked", seconds=PATIENCE)
        eventually(lambda: gateway.replica.logbook.size == 3, seconds=PATIENCE)
        assert follower.ask(other[1])
        yield Ahead(backup, follower, revoked, other)


@pytest.fixture
def restored(site, ahead, another, tmp_path):
    """The portal is gone; where it was comes another, with nothing yet."""
    site.kill()
    made = Site(another("new"), site.port, tmp_path / "said-new.txt")
    yield made
    made.kill()


def into(settings):
    """How a drill is told of its database."""
    url = settings.database_url
    return () if url.startswith("sqlite") else ("--into", url)


def test_a_timer_drills_again_and_again_with_one_database(site, cast, another, tmp_path):
    """Its address stands in the environment, where others on the machine cannot read the password."""
    site.flask("backup", "make", tmp_path / "backup")
    place = another("drill").database_url
    told = {} if place.startswith("sqlite") else {"DRILL_DATABASE_URL": place}

    for _ in range(2):
        assert "The backup restores" in site.flask("backup", "drill", tmp_path / "backup", **told)


def test_a_backup_is_drilled_with_the_log_that_went_on(site, ahead, another):
    newest = site.settings.data / "secrets/log.state"

    said = site.flask(
        "backup", "drill", ahead.backup, "--log-state", newest, *into(another("drill"))
    )

    assert "log check: FAILED" in said
    assert "behind: secrets/log.state holds 3 signed entries, the database 2" in said
    assert "1 entry appended again; 3 are signed." in said
    assert "VERIFIED: the limits at" in said
    assert "The backup restores" in said
    assert ahead.follower.ask(ahead.other[1]), "the portal goes on beside it"


def test_a_lost_portal_comes_back_with_its_newest_log_and_nothing_goes_back(site, ahead, restored):
    epoch = ahead.replica.head.epoch
    restored.flask(
        *("backup", "restore", ahead.backup),
        *("--log-state", site.settings.data / "secrets/log.state"),
    )
    restored.flask("db", "upgrade")
    assert "behind: " in restored.flask("log", "check", status=1)
    assert "1 entry appended again" in restored.flask("log", "recover")
    for check in ("log", "sync", "journal"):
        restored.flask(check, "check")
    restored.start()

    eventually(lambda: ahead.replica.head.epoch != epoch, seconds=PATIENCE)
    assert ahead.follower.code(ahead.revoked[1]) == "key_revoked"
    assert ahead.follower.ask(ahead.other[1])
    assert ahead.replica.logbook.size == 3
    assert restored.publish(3) == 3
    eventually(lambda: ahead.replica.logbook.size == 4, seconds=PATIENCE)
    assert ahead.replica.log_problem is None


def test_without_the_newest_log_the_gateway_says_so_and_never_goes_back(ahead, restored):
    restored.flask("backup", "restore", ahead.backup)
    restored.flask("db", "upgrade")
    assert "database, key and log.state agree" in restored.flask("log", "check")
    restored.start()

    eventually(lambda: Kind.LOG_REFUSED in restored.alerts(), seconds=PATIENCE)
    assert ahead.replica.log_problem.code == "log_behind"
    assert ahead.follower.code(ahead.revoked[1]) == "key_revoked"
    # Signed on, it is another history of the same length.
    restored.publish(7)
    eventually(lambda: Kind.LOG_FORKED in restored.alerts(), seconds=PATIENCE)
    models = {model for _, model in ahead.replica.policy().offers}
    assert "model-2" in models
    assert "model-7" not in models


def test_a_backup_without_the_logs_key_is_said_by_the_drill(site, another, tmp_path):
    backup = tmp_path / "backup"
    site.flask("backup", "make", backup)
    (backup / "secrets" / keyfile.NAME).unlink()

    said = site.flask("backup", "drill", backup, *into(another("drill")), status=1)

    assert "key: The log's key, secrets/log.key, is missing. Put it back." in said
    assert "The backup does not restore" in said

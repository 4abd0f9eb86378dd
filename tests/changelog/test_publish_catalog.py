import json
import threading
from copy import deepcopy

import pytest
from sqlalchemy import func, select

from portal.changelog.commands import publish_catalog
from portal.changelog.errors import AlreadyPublished
from portal.changelog.models import Change
from portal.core.actor import CLI
from portal.core.seal import SyncRecord
from portal.journal.models import Event
from portal.transparency import keyfile
from portal.transparency.models import LogEntry
from portal.transparency.signer import log_transaction
from tests.support.worlds import SAMPLE


@pytest.fixture
def publish(app, tmp_path):
    """Run `catalog publish` on a file with this content."""

    def publish(content):
        path = tmp_path / "catalog.json"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(json.dumps(content))
        return app.test_cli_runner().invoke(args=["catalog", "publish", str(path)])

    return publish


@pytest.fixture
def counts(sessions):
    """How many rows there are of all that a publication writes."""

    def counts():
        with sessions() as session:
            return [
                session.scalar(select(func.count()).select_from(model))
                for model in (LogEntry, Change, Event, SyncRecord)
            ]

    return counts


def test_a_published_catalogue_is_in_force_at_once(publish, visit):
    done = publish(SAMPLE.read_bytes())

    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "1"
    assert "No other change is announced" in visit.get("/limits").text
    assert visit.get("/limits").table("Limits for Opus 5").row("Requests per minute")


def test_publishing_is_journaled(publish, journal):
    publish(SAMPLE.read_bytes())

    opened, published = sorted(journal(), key=lambda event: event.tag, reverse=True)
    assert (opened.tag, published.tag) == ("log:opened", "change:published")
    assert published.details == {"number": 1, "title": "Our limits", "entry": 1}
    assert (published.actor_name, published.via) == ("command line", "cli")


def change(path, value):
    """The sample catalogue with one field replaced; `path` as in ("rows", 3, "quota")."""

    def changed():
        catalog = json.loads(SAMPLE.read_text())
        *way, last = path
        inside = catalog
        for step in way:
            inside = inside[step]
        inside[last] = value
        return catalog

    return changed


def twice():
    catalog = json.loads(SAMPLE.read_text())
    catalog["rows"].append(deepcopy(catalog["rows"][0]))
    return catalog


def without_title():
    catalog = json.loads(SAMPLE.read_text())
    del catalog["title"]
    return catalog


BAD = {
    "unknown field": (change(("colour",), "blue"), "colour: is not a known field"),
    "unknown field in a row": (change(("rows", 4, "from"), 1), "rows[4].from: "),
    "announced_at": (change(("announced_at",), 1), "announced_at: "),
    "missing field": (without_title, "title: is missing"),
    "another format": (change(("format",), 2), "format: must be 1"),
    "negative quota": (change(("rows", 3, "quota"), -1), "rows[3].quota: must be 0 or more"),
    "quota of a half": (change(("rows", 3, "quota"), 0.5), "cannot be read as JSON"),
    "duplicate cell": (twice, "rows[39]: stands already at rows[0]"),
    "burst of nothing": (change(("rows", 0, "burst"), 0), "rows[0].burst: "),
    "too large to count": (change(("rows", 0, "quota"), 2**40), "rows[0].quota: "),
    "unknown requirement": (
        change(("tiers", 1, "requirements", "blood_group"), 1),
        "tiers[1].requirements.blood_group: ",
    ),
    "unknown tier": (change(("rows", 2, "tier"), "gold"), "rows[2].tier: there is no tier gold"),
    "unknown model": (change(("offers", 0, "model"), "x"), "offers[0].model: "),
    "unknown metric": (change(("rows", 0, "metric"), "smiles"), "rows[0].metric: "),
    "no tiers": (change(("tiers",), []), "tier"),
    "empty reason": (change(("reason",), ""), "reason: must not be empty"),
    "control character": (change(("title",), "a\u202eb"), "title: "),
    "not JSON": (lambda: b"{", "cannot be read as JSON"),
    "not UTF-8": (lambda: b"\xff", "cannot be read as JSON"),
    "key twice": (lambda: b'{"format":1,"format":1}', "stands twice"),
    "a list": (list, "must be an object"),
    "nothing": (lambda: b"", "cannot be read as JSON"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_catalogue_is_refused_with_its_field_and_writes_nothing(
    publish, counts, make, reason
):
    done = publish(make())

    assert done.exit_code == 1
    assert reason in done.output
    assert "Traceback" not in done.output
    assert counts() == [0, 0, 0, 0]


def test_after_a_refusal_a_good_catalogue_is_published(publish, counts):
    publish(b"{")

    assert publish(SAMPLE.read_bytes()).exit_code == 0
    assert counts() == [2, 1, 2, 3]


def test_a_catalogue_is_only_the_beginning(publish, counts):
    publish(SAMPLE.read_bytes())
    before = counts()

    again = publish(SAMPLE.read_bytes())

    assert again.exit_code == 1
    assert "Change 1 is published already" in again.output
    assert counts() == before


def test_a_missing_file_is_said(app):
    done = app.test_cli_runner().invoke(args=["catalog", "publish", "/nowhere.json"])

    assert done.exit_code == 2
    assert "does not exist" in done.output


def test_of_two_who_publish_at_once_one_is_told_so(app, sessions, settings, counts):
    """The log's lock decides; the other finds change 1 in place, and the log whole."""
    outcomes = []

    def publish():
        try:
            with (
                sessions() as session,
                log_transaction(session, sessions, settings=settings, actor=CLI),
            ):
                publish_catalog(session, actor=CLI, data=SAMPLE.read_bytes())
        except AlreadyPublished as error:
            outcomes.append(error.code)
        else:
            outcomes.append("published")

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["already_published"] * 3 + ["published"]
    assert counts() == [2, 1, 2, 3]


def test_while_the_key_is_missing_nothing_is_published(publish, counts, settings):
    """The data folder was lost: what would be recorded from now on could never be verified."""
    publish(SAMPLE.read_bytes())
    before = counts()
    (settings.data / "secrets" / keyfile.NAME).unlink()

    done = publish(SAMPLE.read_bytes())

    assert done.exit_code == 1
    assert "secrets/log.key, is missing" in done.output
    assert counts() == before

"""Each kind of alert opens and ends by what gateways and tables say, and is told once each time."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from portal.core.actor import CLI
from portal.core.db import transaction
from portal.core.jobs import Job, run_all
from portal.core.outbox import Message, queue_mail, send_due
from portal.operations.jobs import lookout, noted
from portal.operations.queries import list_failing_jobs
from portal.sync.commands import remove_gateway
from portal.transparency import keyfile
from portal.transparency.signer import sign_new
from tests.operations.conftest import URL
from tests.support.factories import make_user

pytestmark = pytest.mark.usefixtures("cast")
STEP = timedelta(seconds=30)


class Server:
    """A mail server: of `refuses` it takes nothing, with `is_down` of nobody. Without a `sender` nobody asks it."""

    def __init__(self, sessions):
        self.refuses, self.is_down, self.has_sender = "", False, True
        self._sessions = sessions

    def send(self, message):
        if self.is_down or message["To"] == self.refuses:
            raise ConnectionRefusedError

    def work(self):
        if self.has_sender:
            send_due(self._sessions, self, sender="portal@localhost")


@pytest.fixture
def server(sessions):
    return Server(sessions)


def slip_in(sessions, *, at):
    """An entry that the signer has not seen."""
    with sessions.kw["bind"].connect().execution_options(portal_write=True) as link:
        link.execute(
            text("INSERT INTO log_entries VALUES (2, :at, 'change.held', '{}')"), {"at": at}
        )
        link.commit()


@pytest.fixture
def queue(sessions):
    def act(event, *, to="eve@example.com"):
        with sessions() as session, transaction(session):
            message = Message(to=to, subject="Hello", text="Hello\n")
            queue_mail(session, message, event=event, person="usr_1")

    return act


@pytest.fixture
def say(wire):
    """One report of the gateway; `health` is what it says of itself."""

    def act(**health):
        answer = wire.report(None, health={"link": "following", "log": "ok", **health})
        assert answer.status_code == 200

    return act


@pytest.fixture
def later(watched, clock, server):
    """The jobs run on for so long, and mail leaves meanwhile; returns what opened or ended."""

    def act(say=lambda: None, **duration):
        ends_at, done = clock.at + timedelta(**duration), 0
        while clock.at < ends_at:
            clock.set(min(clock.at + STEP, ends_at))
            say()
            server.work()
            done += watched()
        return done

    return act


def test_a_silent_gateway_is_lost_after_five_minutes_and_found_at_its_next_word(say, later, told):
    say()
    assert (later(minutes=5), told()) == (0, [])

    assert later(seconds=30) == 1
    assert later(minutes=30) == 0
    say()
    assert later(seconds=30) == 1

    assert told() == ["Gateway lost: gw-eu-1", "Over: Gateway lost: gw-eu-1"]


def test_a_gateway_that_was_never_heard_is_not_lost(wire, later, told):
    later(minutes=30)

    assert told() == []


def test_a_portal_that_was_away_does_not_blame_its_gateways(say, later, clock, sessions, told):
    say()
    later(seconds=30)
    clock.advance(hours=2)

    look_again = lookout(sessions, url=URL)
    assert look_again() == 0
    clock.advance(seconds=30)
    say()
    assert look_again() == 0

    assert told() == []


def test_who_stays_away_after_the_portal_is_back_is_lost(say, later, clock, sessions, told):
    say()
    later(seconds=30)
    clock.advance(hours=2)

    look_again = lookout(sessions, url=URL)
    look_again()
    clock.advance(minutes=1)
    look_again()

    assert told() == ["Gateway lost: gw-eu-1"]


def test_a_lost_gateway_stays_lost_over_a_portal_that_is_away(say, later, clock, sessions, told):
    say()
    later(minutes=6)
    clock.advance(hours=2)

    assert lookout(sessions, url=URL)() == 0
    assert told() == ["Gateway lost: gw-eu-1"]


def test_a_gateway_that_is_taken_out_is_no_longer_lost(say, later, sessions, told):
    say()
    later(minutes=6)
    with sessions() as session, transaction(session):
        remove_gateway(session, actor=CLI, name="gw-eu-1")

    assert later(seconds=30) == 1
    assert told()[-1] == "Over: Gateway lost: gw-eu-1"


@pytest.mark.parametrize(
    ("bad", "title"),
    [
        ({"link": "diverged"}, "Gateway diverged"),
        ({"log": "log_forked"}, "Log forked"),
        ({"log": "log_behind"}, "Log not taken"),
        ({"log": "entry_not_understood"}, "Log not taken"),
    ],
)
def test_what_a_gateway_says_of_itself_is_told_at_once(say, looking, told, bad, title):
    say(**bad)
    assert (looking(), looking()) == (1, 0)
    say()
    assert (looking(), looking()) == (1, 0)

    assert told() == [f"{title}: gw-eu-1", f"Over: {title}: gw-eu-1"]


def test_a_gateway_that_only_complains_is_heard_by_its_last_word(wire, looking, told):
    nack = {"kind": "checkpoint", "id": "log", "code": "log_forked", "text": "another history"}
    wire.report(None, nacks=[nack])
    assert looking() == 1
    wire.report(None, nacks=[nack, {**nack, "kind": "entry", "code": "entry_not_understood"}])
    assert looking() == 2
    wire.report(None)
    assert looking() == 1

    forked, refused = "Log forked: gw-eu-1", "Log not taken: gw-eu-1"
    assert sorted(told()) == [forked, refused, f"Over: {forked}", f"Over: {refused}"]


def test_a_spool_that_fills_for_a_moment_is_no_alert(say, later, told):
    later(lambda: say(spool=9_000), minutes=4)
    later(lambda: say(spool=12), minutes=4)

    assert told() == []


def test_a_spool_that_stays_full_is_one_until_it_is_empty(say, later, told):
    assert later(lambda: say(spool=9_000), minutes=6) == 1
    assert later(lambda: say(spool=0), minutes=1) == 1

    assert told() == [
        "Usage waits at a gateway: gw-eu-1",
        "Over: Usage waits at a gateway: gw-eu-1",
    ]


@pytest.mark.parametrize("spool", ["many", True, -1, None])
def test_what_another_program_writes_for_a_figure_is_no_alert(say, later, told, spool):
    later(lambda: say(spool=spool), minutes=6)

    assert told() == []


def test_signing_that_is_refused_is_told_with_its_reason(settings, sessions, looking, outbox):
    path = settings.data / "secrets" / keyfile.NAME
    kept = path.read_bytes()
    path.unlink()
    sign_new(sessions, settings)

    assert looking() == 1
    assert "The log's key, secrets/log.key, is missing." in outbox()[0].text
    path.write_bytes(kept)
    sign_new(sessions, settings)
    assert looking() == 1
    assert outbox()[0].subject == "Over: Signing stopped"


def test_an_entry_that_nobody_signs_for_a_minute_is_told(sessions, later, clock, told):
    slip_in(sessions, at=int(clock.at.timestamp()))
    assert later(seconds=55) == 0

    assert later(seconds=10) == 1
    assert told() == ["Signing stopped"]


def test_mail_that_nobody_sends_is_told_and_ends_when_it_leaves(server, queue, later, told):
    server.has_sender = False
    queue("one")
    assert later(minutes=14) == 0
    assert later(minutes=2) == 1
    server.has_sender = True

    assert later(seconds=30) == 1
    assert told() == ["Mail does not leave", "Over: Mail does not leave"]


def test_a_mail_server_that_takes_nothing_is_told(server, queue, later, told):
    server.is_down = True
    queue("one")

    later(minutes=40)

    assert told() == ["Mail does not leave"]


def test_one_address_that_no_server_takes_is_no_alert(server, queue, later, told):
    server.refuses = "nobody@example.com"
    queue("one", to="nobody@example.com")
    for number in range(3):
        queue(f"other-{number}")
        later(minutes=10)
    later(minutes=30)

    assert told() == []


def test_mails_about_alerts_are_no_sign_that_mail_leaves(server, queue, later, told):
    """Else the alert would end by being told, and open again for ever."""
    server.refuses = "nobody@example.com"
    queue("one", to="nobody@example.com")

    later(minutes=60)

    assert told() == ["Mail does not leave"]


def test_a_job_that_fails_for_a_minute_is_told_until_it_works(sessions, later, told):
    broken = {"now": True}

    def run():
        if broken["now"]:
            raise ZeroDivisionError
        return 0

    job = noted(Job("pack", run), sessions)
    assert run_all([job]) == {"pack": -1}
    assert later(seconds=50) == 0
    run_all([job])
    assert later(seconds=15) == 1
    broken["now"] = False
    run_all([job])
    later(seconds=30)

    assert told() == ["A job fails: pack", "Over: A job fails: pack"]


def test_all_staff_are_told_and_nobody_else(say, looking, outbox, cast):
    say(link="diverged")
    looking()

    assert [mail.to for mail in outbox() if mail.event.startswith("alert:")] == [cast.root.email]
    (mail,) = [mail for mail in outbox() if mail.event.startswith("alert:")]
    assert "What to do: Run “sync check”" in mail.text
    assert f"{URL}/docs/operating#gateway_diverged" in mail.text


def test_the_same_gateway_may_be_lost_again(say, later, told):
    for _ in range(2):
        say()
        later(minutes=6)
    say()
    later(seconds=30)

    assert told() == ["Gateway lost: gw-eu-1", "Over: Gateway lost: gw-eu-1"] * 2


def test_a_dead_address_among_the_staff_is_no_alert(sessions, server, queue, watched, clock, told):
    """Mails to the others leave, also those about alerts, some seconds before the jobs look."""
    with sessions() as session, transaction(session):
        make_user(session, email="gone@staff.example").is_admin = True
    server.refuses = "gone@staff.example"
    queue("first")
    server.work()
    run_all([noted(Job("pack", lambda: 1 // 0), sessions)])

    for passed in range(60):
        clock.advance(seconds=40)
        server.work()
        clock.advance(seconds=20)
        if passed == 5:
            run_all([noted(Job("pack", lambda: 0), sessions)])
        watched()

    assert told() == [
        title for title in ("A job fails: pack", "Over: A job fails: pack") for _ in "12"
    ]


def test_a_note_of_a_process_that_is_gone_ends(sessions, later, clock, told):
    """The process that noted it ended; the others' runs never failed, so they have nothing to forget."""
    other = noted(Job("pack", lambda: 0), sessions)
    run_all([other])
    run_all([noted(Job("pack", lambda: 1 // 0), sessions)])

    for _ in range(3):
        later(minutes=5)
        run_all([other])
    assert told() == ["A job fails: pack", "Over: A job fails: pack"]
    run_all([noted(Job("pack", lambda: 1 // 0), sessions)])

    with sessions() as session:
        assert [job.since for job in list_failing_jobs(session)] == [clock.at]

import signal
import subprocess
import sys
from email import message_from_bytes
from email.policy import default

import pytest
from sqlalchemy import select

from portal.core.db import transaction
from portal.core.outbox import (
    SMTP_SECONDS,
    FolderTransport,
    Mail,
    Message,
    SmtpTransport,
    queue_mail,
    queue_mails,
    send_due,
)
from tests.support import smtp

SENDER = "Plimsoll <portal@portal.example>"
TEXT = "Dear Eve,\n\n.a line with a dot\nFrom here on\nGrüße ⚓️\n"


@pytest.fixture
def queue(sessions):
    def act(*, event="event", person="usr_1", to="eve@example.com", subject="Hello ⚓️"):
        with sessions() as session, transaction(session):
            message = Message(to=to, subject=subject, text=TEXT)
            queue_mail(session, message, event=event, person=person)

    return act


@pytest.fixture
def mails(sessions):
    def read():
        with sessions() as session:
            return session.scalars(select(Mail).order_by(Mail.id)).all()

    return read


@pytest.fixture
def folder(tmp_path):
    return FolderTransport(tmp_path / "mail")


def read_all(transport):
    files = sorted(transport.folder.glob("*.eml")) if transport.folder.exists() else []
    return [message_from_bytes(file.read_bytes(), policy=default) for file in files]


def test_what_is_due_is_handed_over_once(queue, sessions, folder, mails, clock):
    queue()

    first = send_due(sessions, folder, sender=SENDER)
    second = send_due(sessions, folder, sender=SENDER)

    (letter,) = read_all(folder)
    assert (first, second) == (1, 0)
    assert (letter["To"], letter["Subject"]) == ("eve@example.com", "Hello ⚓️")
    assert letter.get_content() == TEXT
    assert letter["Message-ID"] == f"<{mails()[0].id}@portal.example>"
    assert mails()[0].sent_at == clock.at


def test_one_event_reaches_a_person_once(queue, mails):
    queue()
    queue()
    queue(person="usr_2")
    queue(event="another")

    assert len(mails()) == 3


def test_an_act_that_fails_sends_nothing(sessions, mails):
    message = Message(to="eve@example.com", subject="x", text="y")

    with sessions() as session, pytest.raises(RuntimeError):  # noqa: PT012, SIM117 -- the act is two lines
        with transaction(session):
            queue_mail(session, message, event="e", person="p")
            raise RuntimeError

    assert mails() == []


def test_a_mail_server_receives_envelope_and_text(queue, sessions):
    queue()

    with smtp.running() as sink:
        send_due(sessions, SmtpTransport(sink.url), sender=SENDER)

    (mail,) = sink.mails
    letter = message_from_bytes(mail.data, policy=default)
    assert (mail.sender, mail.recipients) == ("portal@portal.example", ["eve@example.com"])
    assert letter.get_content().replace("\r\n", "\n") == TEXT


def received(sessions):
    """What a mail server gets of the mails that are due, as they came: headers unfolded by nobody."""
    with smtp.running() as sink:
        send_due(sessions, SmtpTransport(sink.url), sender=SENDER)
    return [mail.data for mail in sink.mails]


def test_a_mail_that_can_be_switched_off_says_so_to_mail_programs(sessions):
    """RFC 8058, section 3.1: both fields, the address whole, in angle brackets and on one line."""
    url = "https://portal.example/changelog/unsubscribe/" + "0123456789." * 30
    message = Message(to="eve@example.com", subject="x", text="y", unsubscribe_url=url)
    with sessions() as session, transaction(session):
        queue_mail(session, message, event="e", person="usr_1")

    (data,) = received(sessions)

    lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert f"List-Unsubscribe: <{url}>".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines


def test_a_mail_that_cannot_be_switched_off_has_no_such_header(queue, sessions):
    queue()

    (data,) = received(sessions)

    assert b"list-unsubscribe" not in data.lower()


def many(count):
    return {
        f"usr_{number}": Message(to=f"p{number}@example.com", subject="News", text="x")
        for number in range(count)
    }


def test_many_mails_are_queued_together_and_each_person_only_once(sessions, mails, count_queries):
    with sessions() as session, transaction(session), count_queries() as queries:
        queue_mails(session, many(500), event="news")
    with sessions() as session, transaction(session):
        queue_mails(session, many(501), event="news")
        queue_mails(session, {}, event="nobody")

    assert len(mails()) == len({mail.id for mail in mails()}) == 501
    assert len(queries) < 5


def test_whoever_waits_for_a_mail_is_served_before_the_many(queue, sessions):
    with sessions() as session, transaction(session):
        queue_mails(session, many(5), event="news")
    handed_over = []

    class Slow:
        def send(self, message):
            if not handed_over:
                queue(to="waiting@example.com")
            handed_over.append(message["To"])

    send_due(sessions, Slow(), sender=SENDER)

    # Two were claimed when the person came.
    assert len(handed_over) == 6
    assert handed_over.index("waiting@example.com") == 2


def test_a_server_that_refuses_is_asked_again_later_and_less_often(queue, sessions, mails, clock):
    queue()

    with smtp.running() as sink:
        transport, sink.refuses = SmtpTransport(sink.url), True
        waits = []
        for _ in range(3):
            assert send_due(sessions, transport, sender=SENDER) == 0
            waits.append((mails()[0].next_try_at - clock.at).total_seconds())
            clock.advance(seconds=waits[-1])
        sink.refuses = False
        sent = send_due(sessions, transport, sender=SENDER)

    assert waits == [60, 120, 240]
    assert sent == 1
    assert len(sink.mails) == 1


def test_a_server_that_is_away_loses_nothing(queue, sessions, mails, clock):
    queue()

    assert send_due(sessions, SmtpTransport("smtp://127.0.0.1:1"), sender=SENDER) == 0

    assert mails()[0].sent_at is None


def test_a_slow_server_makes_no_second_worker_send_the_same(queue, sessions, clock):
    """Each hand-over takes as long as is waited for at most; after each, another worker passes."""
    for number in range(6):
        queue(event=f"event {number}")
    handed_over = []

    class Quick:
        def send(self, message):
            handed_over.append(message["Message-ID"])

    class Slow(Quick):
        def send(self, message):
            super().send(message)
            clock.advance(seconds=SMTP_SECONDS)
            send_due(sessions, Quick(), sender=SENDER)

    send_due(sessions, Slow(), sender=SENDER)

    assert len(handed_over) == len(set(handed_over)) == 6


def test_one_mail_that_cannot_be_sent_does_not_hold_up_the_others(queue, sessions, folder, mails):
    queue(event="bad", subject="two\nlines")
    queue(event="good")

    assert send_due(sessions, folder, sender=SENDER) == 1

    assert [mail.event for mail in mails() if mail.sent_at] == ["good"]


def test_a_password_never_travels_in_clear(queue, sessions):
    queue()

    with smtp.running() as sink:
        url = sink.url.replace("smtp://", "smtp://user:secret@")
        assert send_due(sessions, SmtpTransport(url), sender=SENDER) == 0

    assert sink.mails == []


HANG = """
import sys, time
from portal.core.db import make_engine, make_sessions
from portal.core.outbox import send_due

class Hang:
    def send(self, message):
        print(message["Message-ID"], flush=True)
        time.sleep(60)

send_due(make_sessions(make_engine(sys.argv[1]), strict=True), Hang(), sender=sys.argv[2])
"""


@pytest.mark.processes
def test_killed_between_claim_and_hand_over_it_is_sent_again_under_the_same_id(
    queue, sessions, settings, folder, clock
):
    queue()
    command = [sys.executable, "-c", HANG, settings.database_url, SENDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        promised = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    assert send_due(sessions, folder, sender=SENDER) == 0
    clock.advance(days=365)
    assert send_due(sessions, folder, sender=SENDER) == 1

    (letter,) = read_all(folder)
    assert letter["Message-ID"] == promised != ""

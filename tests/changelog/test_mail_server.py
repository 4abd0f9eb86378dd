"""The mails as a mail server that is not ours receives them."""

from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.controller import Controller

from portal.core.outbox import SmtpTransport, send_due
from tests.support.change_files import change_file, in_days
from tests.support.product import free_port

ADA, BEN = "ada@example.com", "ben@example.com"


class Mailbox:
    """Keeps what arrives, or turns it away."""

    def __init__(self):
        self.letters = {}
        self.answer = "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802, ARG002 -- aiosmtpd's name
        letter = message_from_bytes(envelope.content, policy=default)
        if self.answer.startswith("250") and letter["Subject"].startswith("Change"):
            for address in envelope.rcpt_tos:
                self.letters.setdefault(address, []).append(letter)
        return self.answer


@contextmanager
def mail_server():
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield mailbox, SmtpTransport(f"smtp://127.0.0.1:{controller.port}")
    finally:
        controller.stop()


@pytest.fixture
def server():
    with mail_server() as running:
        yield running


@pytest.fixture
def told(telling, publish, server):
    """A cut of Build is announced, and everyone told: Ada owns Acme, Ben subscribes."""
    mailbox, transport = server
    telling.subscribe(telling.cast.ben, "build")
    publish(change_file(effective_at=in_days(40)))
    telling.run()
    send_due(telling.sessions, transport, sender="Plimsoll <portal@portal.example>")
    return mailbox.letters


def test_a_subscribers_mail_ends_by_the_one_click_that_its_header_names(told, client, telling):
    (letter,) = told[BEN]

    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = letter["List-Unsubscribe"].strip("<>")
    assert url.startswith("http://127.0.0.1:5000/changelog/unsubscribe/")
    answer = client.post(
        url.removeprefix("http://127.0.0.1:5000"), data={"List-Unsubscribe": "One-Click"}
    )

    assert answer.status_code == 200
    assert "It is ended" in answer.text


def test_an_owners_mail_has_no_such_header(told):
    (letter,) = told[ADA]

    assert not [name for name in letter.keys() if name.startswith("List-")]  # noqa: SIM118 -- a message is no dict
    assert "cannot be switched off" in letter.get_content()


def test_the_words_arrive_whole(told):
    (letter,) = told[ADA]

    text = letter.get_content().replace("\r\n", "\n")
    assert letter["Subject"] == "Change 2: Fewer requests"
    assert text.startswith("From 2026-12-12 12:00 UTC, the limits of Acme (tier Build)")
    assert "5,000 → 4,000 (\u221220 %)" in text


def test_a_server_that_defers_gets_the_same_letter_again(telling, publish, server, clock):
    mailbox, transport = server
    mailbox.answer = "451 try again later"
    publish(change_file(effective_at=in_days(40)))
    telling.run()
    (queued,) = telling.mails()

    first = send_due(telling.sessions, transport, sender="portal@portal.example")
    mailbox.answer = "250 OK"
    clock.advance(hours=1)
    send_due(telling.sessions, transport, sender="portal@portal.example")

    assert first == 0
    assert [letter["Message-ID"] for letter in mailbox.letters[ADA]] == [
        f"<{queued.id}@portal.example>"
    ]

from dataclasses import dataclass

from portal.core.outbox import Message
from portal.upgrades.policy import TARGET

STANDS = (
    "You receive this since it is about your organisation's own request; it cannot be switched off."
)
STAFF = "You receive this as one of the staff who decide on requests; it cannot be switched off."


@dataclass(frozen=True, kw_only=True)
class About:
    """A request as mails name it; `url` of its page, for whoever gets the mail."""

    org: str
    tier: str
    url: str


def arrived(*, to: str, about: About, purpose: str) -> Message:
    parts = [
        f"{about.org} requests the tier {about.tier}. The published target is a decision within {TARGET}.",
        f"What they build:\n\n{purpose}",
    ]
    return _message(to, f"{about.org} requests {about.tier}", parts, url=about.url, stands=STAFF)


def answered(*, to: str, about: About, text: str) -> Message:
    parts = [f"{about.org} answered your question about its request for {about.tier}:", text]
    subject = f"{about.org} answered about {about.tier}"
    return _message(to, subject, parts, url=about.url, stands=STAFF)


def withdrawn(*, to: str, about: About, reason: str) -> Message:
    parts = [
        f"{about.org} withdrew its request for the tier {about.tier}. There is nothing left to decide.",
        f"The reason given:\n\n{reason}",
    ]
    subject = f"{about.org} withdrew its request for {about.tier}"
    return _message(to, subject, parts, url=about.url, stands=STAFF)


def asked(*, to: str, about: About, text: str) -> Message:
    parts = [
        f"There is a question about the request of {about.org} for the tier {about.tier}:",
        text,
        "The request waits for your answer.",
    ]
    subject = f"A question about your request for {about.tier}"
    return _message(to, subject, parts, url=about.url, stands=STANDS)


def approved(*, to: str, about: About, reason: str) -> Message:
    first = (
        f"Your request was approved: {about.org} is on the tier {about.tier} now.\n"
        "Its limits apply from now on; what you have used so far stays counted."
    )
    parts = [first, f"The reason given:\n\n{reason}"]
    subject = f"Approved: {about.org} is on {about.tier}"
    return _message(to, subject, parts, url=about.url, stands=STANDS)


def declined(*, to: str, about: About, reason: str) -> Message:
    first = (
        f"Your request was declined: {about.org} does not move to the tier {about.tier}.\n"
        "Nothing else changes, and you may send another request."
    )
    parts = [first, f"The reason given:\n\n{reason}"]
    subject = f"Declined: the request of {about.org} for {about.tier}"
    return _message(to, subject, parts, url=about.url, stands=STANDS)


def _message(to: str, subject: str, parts: list[str], *, url: str, stands: str) -> Message:
    text = "\n\n".join([*parts, f"See {url}", stands]) + "\n"
    return Message(to=to, subject=subject, text=text)

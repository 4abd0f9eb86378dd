"""Development only: the mails that would have been sent, and all components on one page."""

import re
from typing import NamedTuple

from flask import Blueprint, Response

from portal.core.outbox import get_mail, list_mails
from portal.web import responses
from portal.web.public import public
from portal.web.session import session, settings

bp = Blueprint("dev", __name__)

_LINK = re.compile(r"(https?://[^\s<>\"]+)")


class Part(NamedTuple):
    """A piece of a mail's text; `href` where it is a link."""

    text: str
    href: str | None


@bp.get("/dev/mail")
@public
def mails() -> Response:
    return responses.page("dev/mails.html", mails=list_mails(session()))


@bp.get("/dev/mail/<mail>")
@public
def mail(mail: str) -> Response:
    found = get_mail(session(), mail)
    parts = [Part(text, _href(text)) for text in _LINK.split(found.text)]
    return responses.page("dev/mail.html", mail=found, parts=parts)


def _href(text: str) -> str | None:
    """Links to this portal stay on the host under which it is open here, where its cookie is."""
    if not _LINK.fullmatch(text):
        return None
    return text.removeprefix(settings().url) or "/"


@bp.get("/design")
@public
def design() -> Response:
    return responses.page("design/index.html")

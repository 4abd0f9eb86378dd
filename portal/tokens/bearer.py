"""Who calls an address under /api/v1: no cookie counts there, only the token that is sent."""

from contextlib import suppress
from functools import partial

from flask import Response, after_this_request, request

from portal.core import clock
from portal.core.actor import Actor
from portal.core.db import Busy, transaction
from portal.tokens.commands import note_token_use
from portal.tokens.errors import TokenMissing, TokenUnknown
from portal.tokens.policy import USED_EVERY
from portal.tokens.queries import get_bearer, last_use
from portal.web import throttle
from portal.web.session import session, sessions, settings


def bearer() -> Actor:
    """Who acts by the token of this request, and that it was used. Raises NotLetIn, TooMany."""
    text = _sent()
    try:
        actor = get_bearer(session(), text, brand=settings().brand, ip=request.remote_addr)
    except TokenUnknown:
        throttle.take("api_token", throttle.address())
        raise
    assert actor.token is not None  # noqa: S101 -- that is what a bearer is
    throttle.take("api", actor.token.id)
    used_at = last_use(session(), actor.token.id)
    if used_at is None or clock.now() >= used_at + USED_EVERY:
        after_this_request(partial(_note, actor.token.id))
    return actor


def _sent() -> str:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise TokenMissing
    return text.strip()


def _note(token_id: str, response: Response) -> Response:
    """Here, where no transaction is open any more: an answer that only reads must not wait to write."""
    with suppress(Busy), sessions()() as own, transaction(own, wakes=False):
        note_token_use(own, token_id)
    return response

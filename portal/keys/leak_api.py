"""Where secret scanners report keys that they found, in the form of GitHub's partner programme.

A signed list of texts; what is answered is the same whether or not one of them is a key.
"""

import base64
import binascii
import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Blueprint, Response, make_response, request

from portal.core.actor import Actor, Via
from portal.core.db import transaction
from portal.core.errors import Forbidden, Invalid
from portal.keys.leaks import PLACE_MAX, SOURCE_MAX, Found, digests, take_leak
from portal.web.public import public
from portal.web.security import csrf
from portal.web.session import session, settings

bp = Blueprint("leaks", __name__, url_prefix="/api/v1/leaks")
csrf.exempt(bp)  # no cookie plays a part here: the body is signed

SCANNER = Actor(name="secret scanning", via=Via.API)


class BadSignature(Forbidden):
    code = "bad_signature"
    public = "This is not signed by a scanner that the portal knows."


@bp.post("")
@public
def report_leaks() -> Response:
    """Checks the signature before it reads anything, so that strangers learn nothing."""
    body = request.get_data()
    _must_be_signed(body, settings().leak_keys)
    for digest, found in digests(_read(body), brand=settings().brand):
        # One transaction for each: a report names keys of organisations that do not know each other.
        with transaction(session()):
            take_leak(session(), actor=SCANNER, digest=digest, found=found, url=settings().url)
    return make_response("", 204)


def _must_be_signed(body: bytes, keys: Mapping[str, ec.EllipticCurvePublicKey]) -> None:
    key = keys.get(request.headers.get("Github-Public-Key-Identifier", ""))
    if key is None:
        raise BadSignature
    try:
        signature = base64.b64decode(
            request.headers.get("Github-Public-Key-Signature", ""), validate=True
        )
        key.verify(signature, body, ec.ECDSA(hashes.SHA256()))
    except (binascii.Error, ValueError, InvalidSignature) as error:
        raise BadSignature from error


def _read(body: bytes) -> list[Found]:
    try:
        items = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid("The body is not JSON.") from error
    if not isinstance(items, list) or not all(map(_is_item, items)):
        raise Invalid("The body is a list of objects with token, type, url and source.")
    return [
        Found(
            token=item["token"],
            place=_plain(item.get("url"), PLACE_MAX) or "a place that was not named",
            source=_plain(item.get("source"), SOURCE_MAX),
        )
        for item in items
    ]


def _is_item(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("token"), str)


def _plain(text: object, most: int) -> str:
    """Another's text, to be shown in a mail and on a page: one line without control characters."""
    if not isinstance(text, str):
        return ""
    return "".join(char for char in text if unicodedata.category(char)[0] != "C")[:most].strip()

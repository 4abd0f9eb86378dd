"""Keys for programs: the same commands as the pages, by access token.

Addresses name a key alone, since its id says which organisation it is of. Where none is named yet, to list and
to issue, `?org=` chooses: in the address, so that it is settled who may before the body is looked at.
"""

from flask import Blueprint, Response, url_for

from portal.core.actor import Actor
from portal.core.db import transaction
from portal.core.errors import NotFound
from portal.keys import commands, queries
from portal.keys.api_shapes import (
    IssuedKey,
    Key,
    Keys,
    Listing,
    NewKey,
    NewName,
    NewSecret,
    OrgNamed,
    Revocation,
    shown,
)
from portal.keys.commands import KeyRequest
from portal.keys.models import ApiKey
from portal.keys.queries import KeyFilter
from portal.keys.rotation import Rotation, rotate_key
from portal.orgs.models import Org
from portal.orgs.policy import Permission, Scope
from portal.orgs.queries import get_org_by_id
from portal.tokens.bearer import bearer
from portal.tokens.queries import get_named_org
from portal.web.openapi import Answer, answer, operation, read_body, read_query
from portal.web.public import public
from portal.web.security import csrf
from portal.web.session import session, settings

bp = Blueprint("keys_api", __name__, url_prefix="/api/v1/keys")
csrf.exempt(bp)  # no cookie plays a part here: the token is sent by hand

READS, WRITES = Scope.KEYS_READ.value, Scope.KEYS_WRITE.value
WHICH = {"key": "Its id, `key_…`."}
AS_IT_IS = {200: Answer("The key as it is now.", Key)}


@bp.get("")
@operation(
    summary="List keys",
    about="Newest first, revoked ones too.",
    scope=READS,
    query=Listing,
    answers={200: Answer("A page of keys.", Keys)},
)
@public
def list_keys() -> Response:
    actor, asked = bearer(), read_query(Listing)
    org = get_named_org(session(), actor, asked.org, needs=Permission.SEE_KEYS)
    found = KeyFilter(
        search=asked.q.strip(),
        state=asked.state or "",
        environment=asked.environment or "",
    )
    page = queries.get_key_page(session(), org, found, cursor=asked.cursor, size=asked.limit)
    return answer({"keys": [shown(each) for each in page.items], "next": page.after})


@bp.post("")
@operation(
    summary="Issue a key",
    about="The secret is in the answer, this once.",
    scope=WRITES,
    query=OrgNamed,
    body=NewKey,
    answers={201: Answer("The key and its secret.", IssuedKey)},
    refusals=(409,),
)
@public
def issue_key() -> Response:
    actor, named = bearer(), read_query(OrgNamed).org
    with transaction(session()):
        needs = Permission.ISSUE_KEY
        org = get_named_org(session(), actor, named, needs=needs, for_update=True)
        asked = read_body(NewKey).values()
        for name in ("models", "networks"):
            asked[name] = asked[name] or ()
        issued = commands.issue_key(
            session(), actor=actor, org=org, brand=settings().brand, request=KeyRequest(**asked)
        )
    return _issued(issued)


@bp.get("/<key>")
@operation(summary="One key", scope=READS, path=WHICH, answers=AS_IT_IS)
@public
def key(key: str) -> Response:
    _, row = _load(bearer(), key, needs=Permission.SEE_KEYS)
    return _shown(row)


@bp.post("/<key>/rename")
@operation(
    summary="Rename a key",
    scope=WRITES,
    path=WHICH,
    body=NewName,
    answers=AS_IT_IS,
    refusals=(409,),
)
@public
def rename_key(key: str) -> Response:
    actor = bearer()
    with transaction(session()):
        _, row = _load(actor, key, needs=Permission.EDIT_KEY, for_update=True)
        commands.rename_key(session(), actor=actor, key=row, **read_body(NewName).values())
    return _shown(row)


@bp.post("/<key>/pause")
@operation(
    summary="Pause a key",
    about="Gateways refuse it until it is resumed. A second time changes nothing.",
    scope=WRITES,
    path=WHICH,
    answers=AS_IT_IS,
    refusals=(409,),
)
@public
def pause_key(key: str) -> Response:
    actor = bearer()
    with transaction(session()):
        _, row = _load(actor, key, needs=Permission.PAUSE_KEY, for_update=True)
        commands.pause_key(session(), actor=actor, key=row)
    return _shown(row)


@bp.post("/<key>/resume")
@operation(
    summary="Resume a paused key",
    about="A second time changes nothing.",
    scope=WRITES,
    path=WHICH,
    answers=AS_IT_IS,
    refusals=(409,),
)
@public
def resume_key(key: str) -> Response:
    actor = bearer()
    with transaction(session()):
        _, row = _load(actor, key, needs=Permission.PAUSE_KEY, for_update=True)
        commands.resume_key(session(), actor=actor, key=row)
    return _shown(row)


@bp.post("/<key>/rotate")
@operation(
    summary="Rotate a key",
    about="A successor takes its place; no counter is reset.",
    scope=WRITES,
    path=WHICH,
    body=NewSecret,
    answers={201: Answer("The successor and its secret.", IssuedKey)},
    refusals=(409,),
)
@public
def rotate(key: str) -> Response:
    actor = bearer()
    with transaction(session()):
        # The organisation first, as whoever issues a key does: two at once take turns.
        org, row = _load(actor, key, needs=Permission.ROTATE_KEY, for_update=True, locks_org=True)
        asked, brand = Rotation(**read_body(NewSecret).values()), settings().brand
        issued = rotate_key(session(), actor=actor, org=org, key=row, brand=brand, rotation=asked)
    return _issued(issued)


@bp.post("/<key>/revoke")
@operation(
    summary="Revoke a key, for ever",
    about="A second time changes nothing.",
    scope=WRITES,
    path=WHICH,
    body=Revocation,
    answers=AS_IT_IS,
)
@public
def revoke_key(key: str) -> Response:
    actor = bearer()
    with transaction(session()):
        _, row = _load(actor, key, needs=Permission.REVOKE_KEY, for_update=True)
        commands.revoke_key(session(), actor=actor, key=row, **read_body(Revocation).values())
    return _shown(row)


def _load(
    actor: Actor, key: str, *, needs: Permission, for_update: bool = False, locks_org: bool = False
) -> tuple[Org, ApiKey]:
    org_id = queries.find_org_of(session(), key)
    if org_id is None:
        raise NotFound
    org = get_org_by_id(session(), actor, org_id, needs=needs, for_update=locks_org)
    return org, queries.get_key(session(), org, key_id=key, for_update=for_update)


def _shown(row: ApiKey) -> Response:
    return answer(shown(queries.get_full_key(session(), row)))


def _issued(issued: commands.IssuedKey) -> Response:
    key = shown(queries.get_full_key(session(), issued.key))
    response = answer({"key": key, "secret": issued.secret.text}, status=201)
    response.headers["Location"] = url_for("keys_api.key", key=issued.key.id)
    return response

"""Whom a token stands for: the first call of a program, and the answer to every one that is not let in."""

from flask import Blueprint, Response
from pydantic import Field

from portal.orgs.models import Role
from portal.orgs.policy import Scope
from portal.orgs.queries import list_orgs_seen
from portal.tokens.bearer import bearer
from portal.tokens.errors import NotLetIn, TokenMissing
from portal.web import problems
from portal.web.openapi import Answer, answer, operation
from portal.web.public import public
from portal.web.security import csrf
from portal.web.session import session
from portal.web.shapes import Name, Shape

bp = Blueprint("tokens_api", __name__, url_prefix="/api/v1/orgs")
csrf.exempt(bp)  # no cookie plays a part here: the token is sent by hand


class Organisation(Shape):
    """An organisation that a token reaches."""

    id: str
    slug: str = Field(description="As it stands in addresses; it may change, the id does not.")
    name: Name
    role: Role = Field(description="The role of the person, or the token's own.")
    scopes: list[Scope] = Field(description="What the token was given: it does what both allow.")


class Organisations(Shape):
    """All that a token reaches, by name."""

    orgs: list[Organisation]


@bp.app_errorhandler(NotLetIn)
def not_let_in(error: NotLetIn) -> Response:
    """As RFC 6750 has it: no word of an error where no token was sent."""
    response = problems.problem(error.status, error.code, error.public)
    said = "" if isinstance(error, TokenMissing) else ', error="invalid_token"'
    response.headers["WWW-Authenticate"] = f'Bearer realm="plimsoll"{said}'
    return response


@bp.get("")
@operation(
    summary="The organisations that the token reaches",
    answers={200: Answer("All of them, by name.", Organisations)},
)
@public
def orgs() -> Response:
    actor = bearer()
    scopes = sorted(actor.token.scopes) if actor.token else []
    rows = [
        {
            "id": org.id,
            "slug": org.slug,
            "name": org.name,
            "role": role.value,
            "scopes": scopes,
        }
        for org, role in list_orgs_seen(session(), actor)
    ]
    return answer({"orgs": rows})

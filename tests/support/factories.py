"""Rows for tests: plain functions over the product's own commands. Each adds and flushes.

Call them inside `with transaction(session):`. Keyword-only, at most one argument must be given.
"""

import functools
import itertools
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.accounts import commands as accounts
from portal.accounts.models import User
from portal.accounts.passwords import hash_password
from portal.core import clock
from portal.core.actor import CLI, Actor
from portal.core.outbox import Mail
from portal.keys.commands import IssuedKey, KeyRequest, issue_key
from portal.orgs.invitations import invite
from portal.orgs.models import Membership, Org, Role
from portal.orgs.policy import Scope
from portal.orgs.queries import owners
from portal.tiers.grants import GrantRequest, grant
from portal.tiers.models import Grant, TierMove
from portal.tiers.moves import TierDecision, decide_tier
from portal.tiers.words import Identity
from portal.tokens.commands import (
    IssuedToken,
    TokenRequest,
    issue_org_token,
    issue_personal_token,
)
from portal.upgrades.commands import Asked, ask_question, submit_request, take_up
from portal.upgrades.models import UpgradeRequest

DAY = timedelta(days=1)
PASSWORD = "correct horse battery"
_numbers = itertools.count(1)


@functools.cache
def password_hash() -> str:
    """The digest of PASSWORD; argon2 takes its time, so it is asked once."""
    return hash_password(PASSWORD)


def actor_of(user: User) -> Actor:
    return Actor(user_id=user.id, name=user.email, is_admin=user.is_admin, ip="127.0.0.1")


def make_user(
    session: Session, *, email: str | None = None, confirmed: bool = True, admin: bool = False
) -> User:
    """A person with the password PASSWORD."""
    email = email or f"person-{next(_numbers)}@example.com"
    user = accounts.create_person(session, actor=CLI, email=email, password_hash=password_hash())
    user.email_confirmed_at = clock.now() if confirmed else None
    user.is_admin = admin
    session.flush()  # callers point foreign keys at the row
    return user


def make_org(session: Session, *, name: str | None = None, owner: User | None = None) -> Org:
    """An organisation on the starting tier; needs a published catalogue."""
    from portal.tiers.commands import found_org

    owner = owner or make_user(session)
    org = found_org(
        session, actor=actor_of(owner), owner=owner, name=name or f"Org {next(_numbers)}"
    )
    session.flush()  # callers point foreign keys at the row
    return org


def add_member(session: Session, *, org: Org, user: User, role: Role) -> None:
    session.add(Membership(org_id=org.id, user_id=user.id, role=role))
    session.flush()  # callers read it by query


def make_invitation(
    session: Session, *, org: Org, email: str | None = None, **values: Any
) -> tuple[str, str]:
    """An open invitation as developer by the first owner: its id, and the token that only the mail holds."""
    usual: dict[str, Any] = {"actor": actor_of(owners(session, org.id)[0]), "role": Role.DEVELOPER}
    email = email or f"person-{next(_numbers)}@example.com"
    usual |= {"email": email, "url": "http://localhost"}
    made = invite(session, org=org, **(usual | values))
    text = session.scalars(select(Mail.text).where(Mail.event == f"invitation:{made.digest}")).one()
    return made.id, text.partition("/invitations/")[2].split()[0]


def make_key(session: Session, *, org: Org, actor: Actor | None = None, **values: Any) -> IssuedKey:
    """An issued key: the row and the secret, as the command hands them out."""
    request = KeyRequest(**({"name": f"Key {next(_numbers)}"} | values))
    actor = actor or actor_of(owners(session, org.id)[0])
    return issue_key(session, actor=actor, org=org, brand="plim", request=request)


def make_token(session: Session, *, user: User, **values: Any) -> IssuedToken:
    """A person's access token for all scopes, unless told."""
    usual: dict[str, Any] = {"name": f"Token {next(_numbers)}", "scopes": tuple(Scope)}
    request = _token_request(usual | values)
    return issue_personal_token(
        session, actor=actor_of(user), user=user, brand="plim", request=request
    )


def make_org_token(
    session: Session, *, org: Org, role: Role = Role.MANAGER, **values: Any
) -> IssuedToken:
    """An organisation's access token for all scopes by the first owner, unless told."""
    usual: dict[str, Any] = {"name": f"Token {next(_numbers)}", "scopes": tuple(Scope)}
    request = _token_request(usual | values)
    actor = actor_of(owners(session, org.id)[0])
    return issue_org_token(session, actor=actor, org=org, role=role, brand="plim", request=request)


def _token_request(values: dict[str, Any]) -> TokenRequest:
    return TokenRequest(**values | {"scopes": [Scope(each) for each in values["scopes"]]})


def make_move(session: Session, *, org: Org, **values: Any) -> TierMove:
    """A move to the tier above in twenty days, unless told."""
    usual: dict[str, Any] = {"tier": "build", "reason": "They grow."}
    usual["effective_at"] = clock.now() + 20 * DAY
    move = decide_tier(session, actor=CLI, org=org, decision=TierDecision(**(usual | values)))
    assert move is not None
    session.flush()  # callers name it in addresses
    return move


def make_grant(session: Session, *, org: Org, **values: Any) -> Grant:
    """Twice the starting tier's requests to one model for a month, unless told."""
    limit = Identity("opus-5", "requests", "bucket", 60)
    usual: dict[str, Any] = {"limit": limit, "quota": 2000, "reason": "A fair."}
    usual["ends_at"] = clock.now() + 30 * DAY
    given = grant(session, actor=CLI, org=org, request=GrantRequest(**(usual | values)))
    session.flush()  # callers name it in addresses
    return given


def make_request(
    session: Session, *, org: Org, staff: Actor | None = None, **values: Any
) -> UpgradeRequest:
    """A request for Scale; with `staff` it is in review, and a question waits for its answer."""
    cell = {"model": "opus-5", "metric": "requests", "kind": "bucket", "period": 60}
    given: dict[str, Any] = {"tier": "scale", "purpose": "A weather service.\nFor sailors."}
    given |= {"contact": "ada", "expected": ({**cell, "amount": 3000},)}
    asked = Asked(**given | {"wanted_on": clock.now().date()} | values)
    url, owner = "http://localhost", actor_of(owners(session, org.id)[0])
    request = submit_request(session, actor=owner, org=org, asked=asked, url=url)
    if staff is not None:
        on: dict[str, Any] = {"actor": staff, "org": org, "request": request}
        take_up(session, **on, seen=request.steps)
        ask_question(session, **on, seen=request.steps, text="How many users?", url=url)
    return request

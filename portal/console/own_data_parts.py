"""The parts of a person's own data, each read from the slice that keeps it."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from portal.accounts.devices import describe
from portal.accounts.models import EmailChange, SecondFactor, User, UserSession
from portal.changelog.models import Subscription
from portal.core.outbox import Mail
from portal.feedback.models import Follow, Post, Report, Thread, Vote
from portal.journal.queries import list_events_of
from portal.journal.words import words
from portal.keys.models import ApiKey
from portal.orgs.models import Invitation, Membership, Org
from portal.tokens.models import AccessToken
from portal.upgrades.models import UpgradeRequest
from portal.web.filters import iso

Row = dict[str, Any]


def _at(value: datetime | None) -> str | None:
    return iso(value) if value else None


def account(session: Session, user_id: str) -> Row:
    user = session.get_one(User, user_id)
    factor = session.get(SecondFactor, user_id)
    return {
        "id": user.id,
        "email": user.email,
        "email_confirmed_at": _at(user.email_confirmed_at),
        "is_staff": user.is_admin,
        "created_at": _at(user.created_at),
        "second_factor_since": _at(factor.confirmed_at if factor else None),
    }


def sessions(session: Session, user_id: str) -> Iterator[Row]:
    for row in session.scalars(select(UserSession).where(UserSession.user_id == user_id)):
        yield {
            "id": row.id,
            "browser": describe(row.user_agent),
            "user_agent": row.user_agent,
            "network_address": row.ip,
            "signed_in_at": _at(row.created_at),
            "last_seen_at": _at(row.seen_at),
            "ended_at": _at(row.ended_at),
        }


def organisations(session: Session, user_id: str) -> Iterator[Row]:
    query = select(Org, Membership).join(Membership, Membership.org_id == Org.id)
    for org, member in session.execute(query.where(Membership.user_id == user_id)):
        joined = _at(member.created_at)
        yield {"id": org.id, "name": org.name, "role": member.role.value, "since": joined}


def _plain(kind: type[Any], owner: Any, *names: str) -> Callable[[Session, str], Iterator[Row]]:
    """Rows of one table that belong to a person, with the columns that say something to them."""

    def read(session: Session, user_id: str) -> Iterator[Row]:
        for row in session.scalars(select(kind).where(owner == user_id)):
            yield {name: _value(getattr(row, name)) for name in names}

    return read


def _value(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else value


def invitations(session: Session, user_id: str) -> Iterator[Row]:
    email = func.lower(session.get_one(User, user_id).email)
    theirs = or_(func.lower(Invitation.email) == email, Invitation.sent_by == user_id)
    for row in session.scalars(select(Invitation).where(theirs)):
        yield {
            "id": row.id,
            "to": row.email,
            "org_id": row.org_id,
            "sent_by_you": row.sent_by == user_id,
            "sent_at": _at(row.sent_at),
        }


def mails(session: Session, user_id: str) -> Iterator[Row]:
    """What was written to them; not the texts, since links in them open the account."""
    for row in session.scalars(select(Mail).where(Mail.person == user_id)):
        yield {"to": row.to, "subject": row.subject, "sent_at": _at(row.sent_at)}


def acts(session: Session, user_id: str) -> Iterator[Row]:
    for event in list_events_of(session, user_id):
        yield {
            "at": _at(event.at),
            "what": words(event.tag),
            "tag": event.tag,
            "org_id": event.org_id,
            "subject_id": event.subject_id,
            "network_address": event.ip,
            "details": event.told,
        }


PARTS: dict[str, Callable[[Session, str], Row | Iterable[Row]]] = {
    "account": account,
    "sessions": sessions,
    "organisations": organisations,
    "invitations": invitations,
    "changes_of_address": _plain(
        EmailChange, EmailChange.user_id, "email", "created_at", "ended_at"
    ),
    "keys_issued": _plain(
        ApiKey, ApiKey.created_by, "id", "org_id", "name", "prefix", "created_at", "revoked_at"
    ),
    "access_tokens": _plain(
        AccessToken,
        AccessToken.created_by,
        *("id", "org_id", "name", "prefix", "scopes", "created_at", "expires_at", "used_at"),
        "revoked_at",
    ),
    "upgrade_requests": _plain(
        UpgradeRequest, UpgradeRequest.created_by, "id", "org_id", "created_at", "contact"
    ),
    "subscriptions": _plain(
        Subscription, Subscription.user_id, "id", "tier", "created_at", "ended_at"
    ),
    "threads": _plain(Thread, Thread.author_id, "id", "number", "title", "created_at"),
    "posts": _plain(Post, Post.author_id, "id", "thread_id", "text", "created_at"),
    "votes": _plain(Vote, Vote.user_id, "thread_id", "created_at", "withdrawn_at"),
    "follows": _plain(Follow, Follow.user_id, "thread_id", "created_at", "ended_at"),
    "reports": _plain(Report, Report.user_id, "id", "post_id", "created_at"),
    "mails": mails,
    "acts": acts,
}

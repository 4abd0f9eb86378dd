import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from plimsoll.contract import acts, canonical
from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.catalog import Catalog, parse_catalog
from plimsoll.contract.draft import GRACE_SECONDS, Draft, compose, parse_draft, withdrawals
from plimsoll.contract.history import ChangeInLog, History
from plimsoll.contract.limits import InvalidField
from plimsoll.contract.rules import ANNOUNCED
from plimsoll.contract.terms import TITLE_LENGTH_MAX, require_prose, require_text
from portal.changelog.errors import AlreadyPublished, BadCatalog, BadChange, NothingPublished
from portal.changelog.models import Change, ChangeHold, ChangeWords, NoticeWords
from portal.changelog.words import capital
from portal.core import clock
from portal.core.actor import Actor
from portal.core.errors import Invalid, NotFound
from portal.core.ids import new_id
from portal.journal.commands import record
from portal.transparency.commands import append_entry, full_history, lock_log
from portal.transparency.models import LogEntry


def publish_catalog(session: Session, *, actor: Actor, data: bytes | str) -> Change:
    """Publish a catalogue, the JSON text of a file, as change 1, effective at once.

    The caller opens a `log_transaction`, which opens the log before and signs after. Raises
    BadCatalog with the path of the field, AlreadyPublished.
    """
    catalog = _parse(data)
    if session.get(Change, 1) is not None:
        raise AlreadyPublished
    change_id, reason_sha256 = new_id("chg"), hash_reason(catalog.reason)
    entry = append_entry(
        session,
        kind=ANNOUNCED,
        body=lambda at: catalog.announcement_body(change_id, at, reason_sha256),
    )
    change = Change(number=1, id=change_id, entry_seq=entry.seq, created_by=actor.user_id)
    return _add(session, actor, change, title=catalog.title, reason=catalog.reason)


def _parse(data: bytes | str) -> Catalog:
    try:
        return parse_catalog(canonical.read(data))
    except InvalidField as error:
        raise BadCatalog(str(error), field=error.path) from error
    except canonical.NotCanonical as error:
        raise BadCatalog(f"The file cannot be read as JSON: {error}.") from error


def publish_change(session: Session, *, actor: Actor, draft: Draft) -> Change:
    """Announce a change, in force from its instant, else at once; withdraw what it replaces.

    The caller opens a `log_transaction`. Raises BadChange with the path of the field, UnlawfulEntry
    with the rule's text, NothingPublished.
    """
    log, at = locked_history(session), clock.timestamp()
    if not log.changes:
        raise NothingPublished
    try:
        announcement = compose(log, draft, at=at, change_id=new_id("chg"))
    except InvalidField as error:
        raise bad_change(error) from error
    number = announcement.change
    for withdrawal in withdrawals(draft, number=number):
        append_act(session, withdrawal, at=at)
    entry = append_entry(session, kind=ANNOUNCED, body=lambda _: announcement.to_wire(), at=at)
    change = Change(
        number=number, id=announcement.id, entry_seq=entry.seq, created_by=actor.user_id
    )
    return _add(session, actor, change, title=announcement.title, reason=draft.reason)


def read_draft(data: bytes | str) -> Draft:
    """The change in the JSON text of a file. Raises BadChange with the path of the field."""
    try:
        return draft_of(canonical.read(data))
    except canonical.NotCanonical as error:
        raise BadChange(f"The file cannot be read as JSON: {error}.") from error


def draft_of(content: object) -> Draft:
    """The change in the content of a file. Raises BadChange with the path of the field."""
    try:
        return parse_draft(content)
    except InvalidField as error:
        raise bad_change(error) from error


def _add(session: Session, actor: Actor, change: Change, *, title: str, reason: str) -> Change:
    number, seq = change.number, change.entry_seq
    session.add(change)
    session.flush()  # the words point at the change
    session.add(ChangeWords(number=number, version=1, reason=reason, entry_seq=seq))
    details: dict[str, Any] = {"number": number, "title": title, "entry": seq}
    record(session, actor, "change:published", subject_id=change.id, **details)
    return change


def withdraw_change(session: Session, *, actor: Actor, number: int, reason: str) -> None:
    """Withdraw a change that is not effective, or end an emergency cut now.

    Raises NotFound, Invalid, UnlawfulEntry.
    """
    found = get_in_log(locked_history(session), number)
    said = line(reason)
    entry = append_act(session, acts.Withdrawn(number, said, None))
    # What stood in its way is settled with it.
    session.execute(
        update(ChangeHold)
        .where(ChangeHold.number == number, ChangeHold.lifted_at.is_(None))
        .values(lifted_at=clock.now())
    )
    record_act(session, actor, "change:withdrawn", found=found, entry=entry, reason=said)


def reschedule_change(
    session: Session,
    *,
    actor: Actor,
    number: int,
    effective_at: int | None,
    expires_at: int | None = None,
) -> None:
    """Give an announced change another instant (Unix seconds; None = now).

    Without `expires_at` what ends by itself keeps its length. Raises NotFound, UnlawfulEntry.
    """
    found, at = get_in_log(locked_history(session), number), clock.timestamp()
    start = near(effective_at, at=at)
    end = expires_at if expires_at is not None else end_of(found, start)
    entry = append_act(session, acts.Rescheduled(number, start, end), at=at)
    details = {"effective_at": start, "expires_at": end}
    record_act(session, actor, "change:rescheduled", found=found, entry=entry, **details)


def amend_change(session: Session, *, actor: Actor, number: int, title: str, reason: str) -> None:
    """Give a change other words; the earlier versions stay readable.

    Raises NotFound, Invalid where nothing differs or a text cannot stand.
    """
    found = get_in_log(locked_history(session), number)
    title, reason = title_of(title), prose(reason)
    sha256 = hash_reason(reason)
    if (title, sha256) == (found.title, found.reason_sha256):
        raise Invalid("These are the words as they stand: nothing would change.", field="title")
    entry = append_act(session, acts.Amended(number, title, sha256))
    version = len(found.wordings) + 1
    words = ChangeWords(number=number, version=version, reason=reason, entry_seq=entry.seq)
    session.add(words)
    details = {"title": title, "version": version}
    record_act(session, actor, "change:amended", found=found, entry=entry, **details)


def change_policy(
    session: Session,
    *,
    actor: Actor,
    notice: Mapping[str, int],
    reason: str,
    effective_at: int | None = None,
) -> LogEntry:
    """Change what notice is promised: the fields of `notice`, the others stay as they are then.

    Raises BadChange, UnlawfulEntry: a weaker promise falls under the notice of the one in force.
    """
    log, at = locked_history(session), clock.timestamp()
    start, reason = near(effective_at, at=at), prose(reason)
    now = log.notice_at(start)
    try:
        promised = acts.parse_notice({**now, **notice}, "notice")
    except InvalidField as error:
        raise bad_change(error) from error
    if promised == dict(now):
        raise BadChange("This is what is promised already: nothing would change.", field="notice")
    body = acts.PolicyChanged(start, promised, hash_reason(reason)).to_wire()
    entry = append_entry(session, kind=acts.POLICY_CHANGED, body=lambda _: body, at=at)
    session.add(NoticeWords(entry_seq=entry.seq, reason=reason))
    changed: dict[str, Any] = {
        name: value for name, value in promised.items() if now[name] != value
    }
    record(session, actor, "notice:changed", entry=entry.seq, effective_at=start, **changed)
    return entry


# ---- what the other commands of this slice share ----


def locked_history(session: Session) -> History:
    """The whole log, locked until the transaction ends, so that nobody appends in between."""
    lock_log(session)
    return full_history(session)


def get_in_log(log: History, number: int) -> ChangeInLog:
    """Raises NotFound."""
    found = log.changes.get(number)
    if found is None:
        raise NotFound(f"There is no change {number}.")
    return found


def append_act(session: Session, act: acts.AnyAct, *, at: int | None = None) -> LogEntry:
    """Append what happened to a change. Raises UnlawfulEntry."""
    return append_entry(session, kind=act.kind, body=lambda _: act.to_wire(), at=at)


def record_act(
    session: Session,
    actor: Actor,
    tag: str,
    *,
    found: ChangeInLog,
    entry: LogEntry | None,
    **details: Any,
) -> None:
    """One event about a change; `entry` is None where the log does not hear of it."""
    about: dict[str, Any] = {"number": found.number}
    if entry is not None:
        about["entry"] = entry.seq
    record(session, actor, tag, subject_id=found.announcement.id, **about, **details)


def near(effective_at: int | None, *, at: int) -> int:
    """An instant to act at: none means now, and so does one up to a minute past.

    Raises Invalid for one that is further past.
    """
    if effective_at is None or at - GRACE_SECONDS <= effective_at < at:
        return at
    if effective_at < at:
        raise Invalid(
            "This instant is past. Give a later one, or none for now.", field="effective_at"
        )
    return effective_at


def end_of(found: ChangeInLog, start: int) -> int | None:
    """When a change that ends by itself ends if it starts at another instant."""
    if found.expires_at is None:
        return None
    return start + found.expires_at - found.effective_at


def line(text: str) -> str:
    """A reason for the log: one line. Raises Invalid."""
    return _text(" ".join(re.split(r"\s*[\r\n]+\s*", text.strip())), field="reason")


def title_of(text: str) -> str:
    """A title. Raises Invalid."""
    return _text(text, field="title", longest=TITLE_LENGTH_MAX)


def prose(text: str) -> str:
    """A reason in Markdown. Raises Invalid."""
    try:
        return require_prose(text, "reason")
    except InvalidField as error:
        raise Invalid(_sentence(error), field="reason") from error


def _text(text: str, *, field: str, longest: int = acts.REASON_LENGTH_MAX) -> str:
    try:
        return require_text(text, field, longest=longest)
    except InvalidField as error:
        raise Invalid(_sentence(error), field=field) from error


def _sentence(error: InvalidField) -> str:
    return f"The {error.path} {error.text}."


def bad_change(error: InvalidField) -> BadChange:
    """A field that cannot be accepted, as the error that people are shown."""
    said = str(error) if error.path else f"{capital(error.text)}."
    return BadChange(said, field=error.path)

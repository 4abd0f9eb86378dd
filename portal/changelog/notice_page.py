"""The promise of notice: what is in force, and how it came to be, in words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.history import PolicyInLog
from plimsoll.contract.wording import duration
from portal.changelog.models import NoticeWords
from portal.changelog.prose import render
from portal.core import clock
from portal.transparency.queries import signed_log

_TERMS: Mapping[str, tuple[str, Callable[[int], str]]] = {
    "tightening_seconds": (
        "Before a tightening or mixed change",
        lambda n: f"at least {duration(n)}",
    ),
    "retirement_seconds": (
        "Before a model or tier is retired",
        lambda n: f"at least {duration(n)}",
    ),
    "released_seconds": (
        "Before a tightening that was held and is released",
        lambda n: f"at least {duration(n)} from its release",
    ),
    "delivery_percent": (
        "Owners on a touched tier whose mail is handed over, else the change is held",
        lambda n: f"at least {n} %",
    ),
    "delivery_seconds": ("Time for handing that mail over", duration),
    "emergency_seconds": ("An emergency cut ends by itself", lambda n: f"within {duration(n)}"),
    "emergency_extensions": (
        "An emergency cut is extended",
        lambda n: {0: "never", 1: "at most once"}.get(n, f"at most {n:,} times"),
    ),
    "emergency_pause_seconds": (
        "After an extended one, the same limits are left alone",
        lambda n: f"for {duration(n)}",
    ),
}


@dataclass(frozen=True)
class Promise:
    """One version of the promise. Instants are Unix seconds; `changed` is None for the first."""

    seq: int
    at: int
    effective_at: int
    state: str
    changed: tuple[tuple[str, str, str], ...] | None
    reason: Markup | None
    reason_sha256: str | None


@dataclass(frozen=True)
class NoticePage:
    """The promise in force, term by term, and all versions, newest first."""

    terms: tuple[tuple[str, str], ...]
    tightening: str
    retirement: str
    coming: Promise | None
    promises: tuple[Promise, ...]


def get_notice_page(session: Session) -> NoticePage:
    """The promise as the signed log has it."""
    history, now = signed_log(session).history, clock.timestamp()
    in_force = history.notice_at(now)
    found = session.execute(select(NoticeWords.entry_seq, NoticeWords.reason))
    reasons = {seq: reason for seq, reason in found}  # noqa: C416 -- rows are no pairs to mypy
    promises = [
        _promise(policy, before, now=now, reasons=reasons)
        for before, policy in zip([None, *history.policies], history.policies, strict=False)
    ]
    current = next((each for each in reversed(promises) if each.effective_at <= now), None)
    told = [_in_state(each, current=current, now=now) for each in reversed(promises)]
    return NoticePage(
        terms=tuple((term, say(in_force[name])) for name, (term, say) in _TERMS.items()),
        tightening=duration(in_force["tightening_seconds"]),
        retirement=duration(in_force["retirement_seconds"]),
        coming=next((each for each in reversed(told) if each.state == "announced"), None),
        promises=tuple(told),
    )


def _promise(
    policy: PolicyInLog, before: PolicyInLog | None, *, now: int, reasons: Mapping[int, str]
) -> Promise:
    changed = None
    if before is not None:
        changed = tuple(
            (term, say(before.notice[name]), say(policy.notice[name]))
            for name, (term, say) in _TERMS.items()
            if before.notice[name] != policy.notice[name]
        )
    reason = reasons.get(policy.seq)
    return Promise(
        seq=policy.seq,
        at=policy.at,
        effective_at=policy.effective_at,
        state="announced" if policy.effective_at > now else "",
        changed=changed,
        reason=None if reason is None else render(reason),
        reason_sha256=policy.reason_sha256,
    )


def _in_state(promise: Promise, *, current: Promise | None, now: int) -> Promise:
    state = "in force" if promise is current else "replaced"
    return promise if promise.effective_at > now else Promise(**{**vars(promise), "state": state})

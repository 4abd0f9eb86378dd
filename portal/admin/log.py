"""The public log as the staff sees it: whether it is signed, and if not, why and what mends it."""

from dataclasses import dataclass

from flask import Blueprint, Response

from portal.accounts.login import require_admin
from portal.journal.queries import list_events
from portal.transparency.models import Trouble
from portal.transparency.queries import LogStatus, get_log_status
from portal.web import responses
from portal.web.filters import plural
from portal.web.session import session

bp = Blueprint("log", __name__, url_prefix="/admin/log")
bp.before_request(require_admin)

ACTS_SHOWN = 20


@dataclass(frozen=True)
class Advice:
    """A kind of trouble in plain words. `command` is what mends it, where a command does."""

    said: str
    text: str
    command: str | None = None


ADVICE = {
    Trouble.BEHIND: Advice(
        "the database is older than what was signed",
        "An older backup of the database was restored. What was signed since is public, and gateways"
        " hold it; a copy stands in secrets/log.state in the data folder. Recovering appends it again"
        " to the byte. Limits come back as they were; the reasons of the changes in words do not,"
        " since the log holds only their hashes.",
        "flask --app app log recover",
    ),
    Trouble.REFUSED: Advice(
        "an entry waits that may not be signed",
        "It breaks the rule, or more than an hour went by between its time and the signature, as when"
        " the portal was killed between the two. It was never in force. Discarding deletes it and all"
        " entries behind it, with the changes that they were to publish; publish them anew.",
        "flask --app app log discard",
    ),
    Trouble.KEY: Advice(
        "its key is not there",
        "Put secrets/log.key back into the data folder from your backup of it. No command makes"
        " another: gateways and strangers have pinned this one.",
    ),
    Trouble.ALTERED: Advice(
        "the database no longer holds what was signed",
        "Somebody wrote into the database by hand, or it is damaged. Restore the database from a"
        " backup made before that; what the backup lacks is then recovered from secrets/log.state.",
    ),
    Trouble.FILE: Advice(
        "its own copy of what was signed cannot be read",
        "secrets/log.state in the data folder is damaged. Put it back from a backup. Where there is"
        " none, and the database was not restored from an older state, move the file away: it is"
        " written again from the database.",
    ),
}


@bp.get("")
def log() -> Response:
    found = get_log_status(session())
    return responses.page(
        "admin/log.html",
        log=found,
        advice=ADVICE.get(found.kind) if found.kind else None,
        lead=_lead(found),
        acts=list_events(session(), prefix="log:", limit=ACTS_SHOWN),
    )


def _lead(found: LogStatus) -> str:
    if found.kind is not None:
        return f"The log is not being signed: {ADVICE[found.kind].said}."
    signed = plural(found.size, "entry is", "entries are")
    if found.waiting:
        waiting = plural(found.waiting, "entry waits", "entries wait")
        return f"{signed} signed; {waiting} for the next pass of the signer."
    return f"All is well: {signed} signed." if found.size else "The log is not open yet."

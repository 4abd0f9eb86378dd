from typing import Any

from sqlalchemy.orm import Session

from plimsoll.contract import canonical
from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.catalog import Catalog, parse_catalog
from plimsoll.contract.limits import InvalidField
from plimsoll.contract.rules import ANNOUNCED
from portal.changelog.errors import AlreadyPublished, BadCatalog
from portal.changelog.models import Change, ChangeWords
from portal.core.actor import Actor
from portal.core.ids import new_id
from portal.journal.commands import record
from portal.transparency.commands import append_entry


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
    change = Change(
        number=1,
        id=change_id,
        entry_seq=entry.seq,
        created_by=actor.user_id,
    )
    words = ChangeWords(number=1, version=1, reason=catalog.reason, entry_seq=entry.seq)
    session.add_all([change, words])
    details: dict[str, Any] = {"number": 1, "title": catalog.title, "entry": entry.seq}
    record(session, actor, "change:published", subject_id=change_id, **details)
    return change


def _parse(data: bytes | str) -> Catalog:
    try:
        return parse_catalog(canonical.read(data))
    except InvalidField as error:
        raise BadCatalog(str(error), field=error.path) from error
    except canonical.NotCanonical as error:
        raise BadCatalog(f"The file cannot be read as JSON: {error}.") from error

"""What tests of the change editor share."""

from portal.changelog.drafts import start_draft
from portal.core.db import transaction
from tests.support.change_files import change_file

QUOTA = "quota:build.sonnet-5.requests.1m"
BURST = "burst:build.sonnet-5.requests.1m"


def make_draft(sessions, actor, content=None):
    """A saved draft; its id."""
    with sessions() as session, transaction(session):
        return start_draft(session, actor=actor, content=content or change_file()).id


def save(form, /, **expected):
    """Press “Save the draft”: the same form, sent to the button's own address."""
    address = form.action.removesuffix("/preview")
    values = {name: values for name, values in form.values.items() if values}
    return form.visit.send("POST", address, data=values, **expected)

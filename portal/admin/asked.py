"""What an address or a form asks for in the list of organisations, read without trust."""

from werkzeug.datastructures import MultiDict

from portal.admin.queries import OrgFilter

SEARCH_MAX = 80
SLUG_MAX = 40
STATES = ("active", "suspended")


def asked_for(values: MultiDict[str, str]) -> OrgFilter:
    """The filter in the values of an address; what is not known counts as not asked."""
    asked = values.get("q", "")[:SEARCH_MAX]
    state = values.get("state", "")
    return OrgFilter(
        search=_printable(asked),
        tier=_printable(values.get("tier", "")[:SLUG_MAX]),
        state=state if state in STATES else "",
    )


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable()).strip()

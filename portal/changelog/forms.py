import re
from datetime import UTC, datetime

from wtforms import Field
from wtforms.widgets import TextInput

from portal.web.forms import BaseForm

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# In an address a plus sign arrives as a space.
INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:[Zz]|[+ -]\d{2}:\d{2})")


class PointInTimeField(Field):
    """A date, which means its first second in UTC, or RFC 3339 with an offset (EXACT 1, 3).

    `data` is Unix seconds; None means now.
    """

    widget = TextInput()
    data: int | None

    def _value(self) -> str:
        return str(self.raw_data[0]) if self.raw_data else ""

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        self.data = _seconds(text) if text else None


def _seconds(text: str) -> int:
    try:
        if DATE.fullmatch(text):
            return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
        if INSTANT.fullmatch(text):
            at = datetime.fromisoformat(re.sub(r" (\d{2}:\d{2})$", r"+\1", text.upper()))
            # The offset may lead out of what a date can say, which is refused like any other.
            return int(at.astimezone(UTC).timestamp())
    except (ValueError, OverflowError) as error:
        raise ValueError("There is no such date or time.") from error
    raise ValueError("Give a date such as 2026-12-24, or an instant such as 2026-12-24T12:00:00Z.")


class PointInTimeForm(BaseForm):
    """Asks for the limits at another time. It changes nothing, so it carries no token."""

    class Meta:
        csrf = False

    at = PointInTimeField(
        "Date or instant",
        description="A date such as 2026-12-24 (from 00:00 UTC), or an instant such as"
        " 2026-12-24T12:00:00Z. Empty means now.",
    )

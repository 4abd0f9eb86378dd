import re
from collections.abc import Iterable
from datetime import UTC, datetime

from wtforms import Field, HiddenField, SelectField, SelectMultipleField
from wtforms.fields import SelectChoice
from wtforms.validators import Regexp
from wtforms.widgets import CheckboxInput, ListWidget, TextInput

from plimsoll.contract.direction import Direction
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


class QueryForm(BaseForm):
    """Asks and changes nothing, so it carries no token."""

    class Meta:
        csrf = False


class PointInTimeForm(QueryForm):
    """Asks for the limits at another time, and for what was known at another time."""

    at = PointInTimeField(
        "The limits at",
        description="A date such as 2026-12-24 (from 00:00 UTC), or an instant such as"
        " 2026-12-24T12:00:00Z. Empty means now.",
    )
    known_at = PointInTimeField(
        "As announced by",
        description="What was published by then, in the same form. Empty means all that is"
        " published today.",
    )


class FilterForm(QueryForm):
    """What of the changelog to show. Empty means all."""

    tier = SelectMultipleField(
        "Tiers",
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    model = SelectField("Model", default="")
    direction = SelectField(
        "Direction",
        default="",
        choices=[
            SelectChoice("", "Any"),
            SelectChoice(Direction.TIGHTENING.value, "Tightening, or mixed"),
            SelectChoice(Direction.MIXED.value, "Mixed"),
            SelectChoice(Direction.LOOSENING.value, "Loosening"),
            SelectChoice(Direction.NEUTRAL.value, "Neither"),
        ],
    )
    when = SelectField(
        "When",
        default="",
        choices=[SelectChoice("", "Any time"), SelectChoice("upcoming", "Still to come")],
    )

    def offer(
        self, *, tiers: Iterable[tuple[str, str]], models: Iterable[tuple[str, str]]
    ) -> "FilterForm":
        """Say which tiers and models can be chosen, as (slug, name)."""
        self.tier.choices = [SelectChoice(slug, name) for slug, name in tiers]
        named = [SelectChoice(slug, name) for slug, name in models]
        self.model.choices = [SelectChoice("", "Any"), *named]
        return self


class MarkReadForm(BaseForm):
    """Says up to where the list was read: what came while it was being read stays unread."""

    # Microseconds since 1970.
    until = HiddenField(
        validators=[Regexp(r"\d{1,17}\Z", re.ASCII, message="Load the list again.")]
    )

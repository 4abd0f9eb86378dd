from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from wtforms import (
    IntegerField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Length, NumberRange
from wtforms.widgets import CheckboxInput, HiddenInput, ListWidget

from plimsoll.contract.acts import REASON_LENGTH_MAX
from plimsoll.contract.announcement import ChangeClass
from plimsoll.contract.history import ChangeInLog
from plimsoll.contract.terms import PROSE_LENGTH_MAX, TITLE_LENGTH_MAX, Tier
from portal.changelog.policy import NOTICE_TITLES
from portal.web.filters import iso
from portal.web.forms import BaseForm, UtcInstantField, must_be_plain, tidy, tidy_line

CLASSES = [
    SelectChoice(ChangeClass.LASTING.value, "lasting: until another change"),
    SelectChoice(ChangeClass.TEMPORARY_RAISE.value, "temporary raise: more, until a fixed end"),
    SelectChoice(ChangeClass.EMERGENCY_CUT.value, "emergency cut: less, for 72 hours at most"),
]
_MARKDOWN = "Markdown. It is published word for word, and its hash stands in the log."


def _lines(value: str | None) -> str | None:
    return value.replace("\r\n", "\n").replace("\r", "\n") if value else value


def _title(*validators: Any, **options: Any) -> StringField:
    length = Length(max=TITLE_LENGTH_MAX, message=f"Use at most {TITLE_LENGTH_MAX} characters.")
    return StringField(
        "Title", filters=[tidy_line], validators=[*validators, length, must_be_plain], **options
    )


def _prose(label: str, *validators: Any, **options: Any) -> TextAreaField:
    length = Length(max=PROSE_LENGTH_MAX, message=f"Use at most {PROSE_LENGTH_MAX:,} characters.")
    return TextAreaField(label, filters=[_lines, tidy], validators=[*validators, length], **options)


def _reason_line() -> StringField:
    return StringField(
        "Reason",
        description="One line. It stands in the public log, for ever.",
        filters=[tidy_line],
        validators=[
            InputRequired("Say why: others will read it."),
            Length(max=REASON_LENGTH_MAX, message=f"Use at most {REASON_LENGTH_MAX} characters."),
            must_be_plain,
        ],
    )


class DraftForm(BaseForm):
    """What a draft says besides the table: that is read by `change_values`.

    Words may be missing while it is a draft; what is published is judged by the rule.
    """

    title = _title(description="What changes, in a few words. It heads mails and feeds.")
    reason = _prose("Reason", description=_MARKDOWN)
    change_class = SelectField("Class", choices=CLASSES, default=ChangeClass.LASTING.value)
    effective_at = UtcInstantField("Takes effect at (UTC)", description="Empty: when you publish.")
    expires_at = UtcInstantField(
        "Ends at (UTC)", description="For temporary raises and emergency cuts only."
    )
    replaces = SelectMultipleField(
        "Replaces",
        description="Announced changes that are withdrawn as this one is published.",
        coerce=int,
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    # What the inputs of the table were compared with: the log's size, and the instant.
    base_size = IntegerField(widget=HiddenInput(), validators=[NumberRange(min=0)])
    base_at = IntegerField(widget=HiddenInput(), validators=[NumberRange(min=0, max=2**40)])

    def offer(self, changes: Iterable[ChangeInLog]) -> "DraftForm":
        """Say which announced changes can be replaced."""
        choices = [(change.number, f"Change {change.number}: {change.title}") for change in changes]
        self.replaces.choices = [SelectChoice(number, text) for number, text in choices]
        return self

    def content(self) -> dict[str, Any]:
        """The fields of a change file."""
        return {
            "title": self.title.data or "",
            "reason": self.reason.data or "",
            "class": self.change_class.data,
            "effective_at": _file_instant(self.effective_at.data),
            "expires_at": _file_instant(self.expires_at.data),
            "replaces": sorted(self.replaces.data or []),
        }


def form_data(content: Mapping[str, Any]) -> dict[str, Any]:
    """What `DraftForm` starts with for the content of a file."""
    return {
        **{name: content[name] for name in ("title", "reason", "replaces")},
        "change_class": content["class"],
        "effective_at": _parsed(content["effective_at"]),
        "expires_at": _parsed(content["expires_at"]),
    }


def _file_instant(value: datetime | None) -> str | None:
    return None if value is None else iso(value)


def _parsed(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


class EmptyForm(BaseForm):
    """A question that asks nothing but yes."""


class WithdrawForm(BaseForm):
    reason = _reason_line()


class HoldForm(BaseForm):
    reason = _reason_line()


class RescheduleForm(BaseForm):
    effective_at = UtcInstantField(
        "Takes effect at (UTC)", description="Empty: now, where that is lawful."
    )
    expires_at = UtcInstantField("Ends at (UTC)", description="Empty: it keeps its length.")

    def offer(self, change: ChangeInLog) -> "RescheduleForm":
        """Ask for an end only where there is one."""
        if change.expires_at is None:
            del self.expires_at
        return self


class ReleaseForm(BaseForm):
    name = RadioField("Hold", validators=[InputRequired("Choose a hold.")])
    effective_at = UtcInstantField(
        "Takes effect at (UTC)",
        description="Empty: when it was announced for, or as early as is lawful after that.",
    )

    def offer(self, names: Mapping[str, str]) -> "ReleaseForm":
        """Say which holds can be lifted; where there is one, it is chosen."""
        self.name.choices = [SelectChoice(name, text) for name, text in names.items()]
        if self.name.data is None and len(names) == 1:
            self.name.data = next(iter(names))
        return self


class AmendForm(BaseForm):
    title = _title(InputRequired("Enter a title."))
    reason = _prose("Reason", InputRequired("Say why: others will read it."), description=_MARKDOWN)


class AnnouncementForm(BaseForm):
    title = _title(InputRequired("Enter a title."))
    text = _prose(
        "Text",
        InputRequired("Write what you want to say."),
        description="Markdown. Numbers of limits belong into a change, which renders them.",
    )
    tiers = SelectMultipleField(
        "Tiers",
        description="Whom it concerns. Tick none for everyone.",
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )

    def offer(self, tiers: Iterable[Tier]) -> "AnnouncementForm":
        """Say which tiers can be ticked."""
        self.tiers.choices = [SelectChoice(tier.slug, tier.name) for tier in tiers]
        return self


def _whole(name: str, unit: str = "") -> IntegerField:
    label = f"{NOTICE_TITLES[name]}, {unit}" if unit else NOTICE_TITLES[name]
    wanted = "Give a whole number, 0 or more."
    return IntegerField(
        label,
        validators=[
            InputRequired(wanted),
            NumberRange(min=0, max=100_000, message=wanted),
        ],
    )


class NoticeForm(BaseForm):
    """The notice policy; each field in the unit in which people think of it."""

    tightening_seconds = _whole("tightening_seconds", "in days")
    retirement_seconds = _whole("retirement_seconds", "in days")
    released_seconds = _whole("released_seconds", "in days")
    delivery_percent = _whole("delivery_percent")
    delivery_seconds = _whole("delivery_seconds", "in hours")
    emergency_seconds = _whole("emergency_seconds", "in hours")
    emergency_extensions = _whole("emergency_extensions")
    emergency_pause_seconds = _whole("emergency_pause_seconds", "in days")
    effective_at = UtcInstantField("Takes effect at (UTC)", description="Empty: when you publish.")
    reason = _prose("Reason", InputRequired("Say why: others will read it."), description=_MARKDOWN)

    def changed(self, notice: Mapping[str, int]) -> dict[str, int]:
        """The fields that were given another value than the one they were shown with."""
        shown = notice_data(notice)
        return {
            name: self[name].data * _UNITS.get(name, 1)
            for name in NOTICE_TITLES
            if self[name].data != shown[name]
        }


_DAY = 86_400
_HOUR = 3600
_UNITS = {
    "tightening_seconds": _DAY,
    "retirement_seconds": _DAY,
    "released_seconds": _DAY,
    "delivery_seconds": _HOUR,
    "emergency_seconds": _HOUR,
    "emergency_pause_seconds": _DAY,
}


def notice_data(notice: Mapping[str, int]) -> dict[str, int]:
    """What `NoticeForm` starts with: a policy in its units."""
    return {name: notice[name] // _UNITS.get(name, 1) for name in NOTICE_TITLES}

"""Shape of input: the base form, and the fields that several slices share."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from flask_wtf import FlaskForm
from wtforms import Field, StringField, TextAreaField, ValidationError
from wtforms.validators import InputRequired, Length, StopValidation
from wtforms.widgets import DateTimeLocalInput, TextInput

from portal.core.text import can_be_seen

NAME_MAX = 80
REASON_MAX = 500
EMAIL_MAX = 320
# Bidirectional controls can make one name look like another (EXACT 43).
_BIDIRECTIONAL = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Control characters, lone surrogates, and what breaks a line; what joins emoji (Cf) stays allowed.
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}


class BaseForm(FlaskForm):
    """A form with CSRF. `refuse` puts a domain error's text beside its field."""

    def validate(self, extra_validators: Any = None) -> bool:
        """Check the shape; the first invalid field takes the focus when the form is shown again."""
        is_valid = bool(super().validate(extra_validators))
        wrong = next((field for field in self if field.errors), None)
        if wrong is not None:
            _take_focus(wrong)
        return is_valid

    def refuse(self, text: str, *, field: str | None = None) -> None:
        """Add a message to `field`, or to the form as a whole."""
        if field is None or field not in self._fields:
            self.form_errors.append(text)
        else:
            found = self._fields[field]
            found.errors = [*found.errors, text]
            _take_focus(found)


def _take_focus(field: Field) -> None:
    field.render_kw = {**(field.render_kw or {}), "autofocus": True}


def tidy(value: str | None) -> str | None:
    """NFC, without white space around it."""
    return unicodedata.normalize("NFC", value).strip() if value else value


def tidy_line(value: str | None) -> str | None:
    """NFC, without spaces around it. Control characters stay, to be refused and not hidden."""
    if not value:
        return value
    text = unicodedata.normalize("NFC", value)
    return text.strip("".join({char for char in text if unicodedata.category(char) == "Zs"}))


def must_be_plain(form: object, field: Field) -> None:  # noqa: ARG001
    """Refuse control characters and bidirectional marks."""
    _refuse_control(field, allowed="")


def _must_be_text(form: object, field: Field) -> None:  # noqa: ARG001
    _refuse_control(field, allowed="\n\t")


def _refuse_control(field: Field, *, allowed: str) -> None:
    text = field.data or ""
    plain = "".join(char for char in text if char in allowed or not is_control(char))
    if plain != text:
        # The form comes back without them: HTML cannot carry some, and people cannot see any.
        field.data = plain
        raise StopValidation(
            "Control characters and direction marks were left out. Check the rest."
        )


def is_control(char: str) -> bool:
    return unicodedata.category(char) in _CONTROL or bool(_BIDIRECTIONAL.match(char))


def must_be_seen(form: object, field: Field) -> None:  # noqa: ARG001
    """Refuse text of which nothing shows, such as zero-width characters alone."""
    if not can_be_seen(field.data or ""):
        raise ValidationError("Use at least one character that can be seen.")


def name_field(label: str, **options: Any) -> StringField:
    """A name of a person, organisation or key: 1 to 80 characters (EXACT 43)."""
    return line_field(label, most=NAME_MAX, missing="Enter a name.", **options)


def line_field(label: str, *, most: int, missing: str, **options: Any) -> StringField:
    """A line of text that can be seen, required; `missing` is said where there is none."""
    return StringField(
        label,
        filters=[tidy_line],
        validators=[
            InputRequired(missing),
            Length(min=1, max=most, message=f"Use 1 to {most:,} characters."),
            must_be_plain,
            must_be_seen,
        ],
        **options,
    )


def reason_field(label: str, **options: Any) -> TextAreaField:
    """A reason that others will read: required, at most 500 characters."""
    missing = "Say why: others will read it."
    return text_area_field(label, most=REASON_MAX, missing=missing, **options)


def text_area_field(label: str, *, most: int, missing: str, **options: Any) -> TextAreaField:
    """Text of several lines, required; `missing` is said where there is none."""
    return TextAreaField(
        label,
        filters=[unix_lines, tidy],
        validators=[
            InputRequired(missing),
            Length(min=1, max=most, message=f"Use 1 to {most:,} characters."),
            _must_be_text,
        ],
        **options,
    )


def unix_lines(value: str | None) -> str | None:
    return value.replace("\r\n", "\n").replace("\r", "\n") if value else value


_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)


class UtcInstantField(Field):
    """An instant: `datetime-local` read as UTC, or RFC 3339; empty means none (EXACT 35).

    Whole seconds, as the wire has them: a fraction would make portal and gateways disagree (EXACT 1).
    """

    widget = DateTimeLocalInput()
    data: datetime | None

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return self.data.strftime("%Y-%m-%dT%H:%M") if self.data else ""

    def process_formdata(self, valuelist: list[str]) -> None:
        text = valuelist[0].strip() if valuelist else ""
        self.data = None
        if not text:
            return
        wanted = "Give a date and a time in whole seconds, such as 2026-12-24T12:00."
        if not _INSTANT.fullmatch(text):
            raise ValueError(wanted)
        try:
            value = datetime.fromisoformat(text.upper())
        except ValueError as error:
            raise ValueError(wanted) from error
        try:
            self.data = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        except OverflowError as error:
            raise ValueError("This date is out of range.") from error


_WHOLE = re.compile(r"[0-9]{1,16}", re.ASCII)
_BETWEEN = re.compile(r"(?<=\d)[ ,_\u00a0\u202f](?=\d{3})", re.ASCII)


class WholeNumberField(Field):
    """A whole number, grouped or not: 2000000 or 2,000,000; empty means none."""

    widget = TextInput()
    data: int | None

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else f"{self.data:,}"

    def process_formdata(self, valuelist: list[str]) -> None:
        text = _BETWEEN.sub("", valuelist[0].strip()) if valuelist else ""
        self.data = None
        if not text:
            return
        if not _WHOLE.fullmatch(text):
            raise ValueError("Give a whole number, such as 2,000,000.")
        self.data = int(text)

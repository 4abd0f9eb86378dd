from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

from wtforms import Field, HiddenField, StringField, ValidationError
from wtforms.validators import InputRequired, Length
from wtforms.widgets import DateInput

from portal.upgrades.commands import Asked
from portal.upgrades.queries import Line
from portal.web.forms import (
    EMAIL_MAX,
    BaseForm,
    WholeNumberField,
    must_be_plain,
    reason_field,
    text_area_field,
    tidy_line,
)

PURPOSE_MAX = 5000
TEXT_MAX = 5000
MICROUSD = 1_000_000
AMOUNT_MAX = 2**53  # as a quota (EXACT 12)


class DayField(Field):
    """A day of the calendar, in UTC."""

    widget = DateInput()
    data: date | None

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return self.data.isoformat() if self.data else ""

    def process_formdata(self, valuelist: list[str]) -> None:
        self.data = None
        text = valuelist[0].strip() if valuelist else ""
        if not text:
            return
        try:
            self.data = date.fromisoformat(text)
        except ValueError as error:
            raise ValueError("Give a day, such as 2026-12-24.") from error


def _below(most: int) -> Callable[[object, Field], None]:
    def check(form: object, field: Field) -> None:  # noqa: ARG001
        if field.data is not None and field.data >= most:
            raise ValidationError("Use a smaller number.")

    return check


class RequestForm(BaseForm):
    purpose = text_area_field(
        "What you build",
        most=PURPOSE_MAX,
        missing="Say what you build.",
        description="What calls the API, for whom, and why it needs more.",
    )
    wanted_on = DayField(
        "From when (UTC)", validators=[InputRequired("Say from when you need the tier.")]
    )
    contact = StringField(
        "Contact",
        filters=[tidy_line],
        validators=[
            InputRequired("Say how we reach you."),
            Length(max=EMAIL_MAX, message=f"Use at most {EMAIL_MAX} characters."),
            must_be_plain,
        ],
        description="Whom our staff may write to or call about it.",
    )

    # Set by `request_form`: which limits the form asks about.
    lines: tuple[Line, ...] = ()

    def groups(self) -> dict[str, list[tuple[Line, Field]]]:
        """The lines with their fields, by model."""
        found: dict[str, list[tuple[Line, Field]]] = {}
        for line in self.lines:
            found.setdefault(line.model, []).append((line, self[line.name]))
        return found

    def asked(self, tier: str) -> Asked:
        """What the form says, as the command takes it."""
        assert self.wanted_on.data is not None  # noqa: S101 -- validated
        return Asked(
            tier=tier,
            purpose=self.purpose.data or "",
            expected=tuple(self._expected()),
            wanted_on=self.wanted_on.data,
            contact=self.contact.data or "",
        )

    def _expected(self) -> Iterable[dict[str, Any]]:
        for line in self.lines:
            amount = self[line.name].data
            if amount is not None:
                cell = line.cell
                yield {
                    "model": cell.model,
                    "metric": cell.metric,
                    "kind": str(cell.kind),
                    "period": cell.period,
                    "amount": amount * MICROUSD if line.is_money else amount,
                }


def request_form(lines: Iterable[Line], **values: Any) -> RequestForm:
    """The form with a field for each limit of the tier."""
    lines = tuple(lines)
    fields = {line.name: _amount_field(line) for line in lines}
    made = type("RequestFormOfTier", (RequestForm,), {**fields, "lines": lines})
    form: RequestForm = made(**values)
    return form


def _amount_field(line: Line) -> WholeNumberField:
    unit = " in whole dollars" if line.is_money else ""
    return WholeNumberField(
        f"{line.title}{unit}",
        validators=[_below(AMOUNT_MAX // (MICROUSD if line.is_money else 1))],
        description=f"The tier allows {line.allowed}"
        + (f"; yours now {line.held}." if line.held else "."),
    )


class WithdrawForm(BaseForm):
    reason = reason_field("Reason", description="Our staff read it; it stays with the request.")


class SeenForm(BaseForm):
    """An act on what somebody saw, so that whoever was quicker is named.

    `seen`: the steps of the request, and for the staff the standing of its organisation: "3:1-mov_…".
    """

    seen = HiddenField()

    @property
    def steps(self) -> int:
        text = (self.seen.data or "").partition(":")[0]
        return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0  # noqa: PLR2004

    @property
    def stood(self) -> str:
        return (self.seen.data or "").partition(":")[2]


class AnswerForm(SeenForm):
    text = text_area_field("Your answer", most=TEXT_MAX, missing="Write your answer.")


class AskForm(SeenForm):
    text = text_area_field(
        "Question",
        most=TEXT_MAX,
        missing="Write your question.",
        description="The owners and whoever sent the request read it, in a mail and in the portal.",
    )


class DecisionForm(SeenForm):
    reason = reason_field(
        "Reason", description="The organisation reads it, in a mail and in the portal."
    )

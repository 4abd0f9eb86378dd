from typing import Any

from wtforms import BooleanField, DateField, Field, HiddenField, RadioField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, NumberRange
from wtforms.validators import Optional as MayBeEmpty

from portal.feedback.decisions import Asked
from portal.feedback.forms import CHANGE_MAX
from portal.feedback.models import Outcome
from portal.feedback.policy import OUTCOMES, TEXT_MAX
from portal.web.forms import BaseForm, WholeNumberField, text_area_field


class StepForm(BaseForm):
    """An act on a thread as it was seen, so that whoever was quicker is noticed."""

    seen = HiddenField()


class AnswerForm(BaseForm):
    text = text_area_field(
        "Official answer",
        most=TEXT_MAX,
        missing="Write the answer.",
        description="Markdown. It is pinned to the top, and everyone concerned is told.",
    )


def _day_field(label: str, **options: Any) -> Field:
    return DateField(label, validators=[MayBeEmpty()], **options)


class DecisionForm(StepForm):
    outcome = RadioField(
        "Decision",
        choices=[SelectChoice(each.value, name) for each, name in OUTCOMES.items()],
        validators=[InputRequired("Choose what is decided.")],
    )
    reason = text_area_field(
        "Reason",
        most=TEXT_MAX,
        missing="Say why: everyone concerned will read it.",
        description="Markdown. It stands for ever: a later decision supersedes it, and nothing edits it.",
    )
    weighed = text_area_field("What was weighed", most=TEXT_MAX, missing="")
    until_on = _day_field("Deferred until", description="For a deferred decision, a day (UTC).")
    review_on = _day_field("Look at it again on", description="A day (UTC).")
    change = WholeNumberField(
        "Change that comes of it",
        validators=[MayBeEmpty(), NumberRange(max=CHANGE_MAX, message="There is no such change.")],
        description="Its number, where it is published already.",
    )
    locks = BooleanField("Lock the thread: nothing can be added to it afterwards")

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        # What was weighed may be left out; all else of a text's shape holds for it, too.
        first, *others = self.weighed.validators
        assert isinstance(first, InputRequired)  # noqa: S101 -- as text_area_field makes it
        self.weighed.validators = [MayBeEmpty(), *others]
        self.weighed.flags.required = False

    @property
    def asked(self) -> Asked:
        """What the form holds, once it is valid."""
        return Asked(
            outcome=Outcome(self.outcome.data),
            reason=self.reason.data or "",
            weighed=self.weighed.data or "",
            until_on=self.until_on.data,
            review_on=self.review_on.data,
            change=self.change.data,
            locks=bool(self.locks.data),
        )

from collections.abc import Iterable
from typing import Any

from wtforms import Field, HiddenField, RadioField, SelectField, StringField, ValidationError
from wtforms.fields import SelectChoice
from wtforms.validators import Length, NumberRange
from wtforms.validators import Optional as MayBeEmpty

from portal.feedback.listing import SORTS
from portal.feedback.models import TITLE_MAX, Category, Kind, Visibility
from portal.feedback.policy import CATEGORIES, KINDS, STATES, TEXT_MAX
from portal.web.forms import (
    BaseForm,
    WholeNumberField,
    line_field,
    must_be_plain,
    must_be_seen,
    reason_field,
    text_area_field,
    tidy_line,
)

SEARCH_MAX = 100
CHANGE_MAX = 999_999_999


def _must_stay_empty(form: object, field: Field) -> None:  # noqa: ARG001
    if field.data:
        raise ValidationError("Leave this field empty: it is there to catch machines.")


def _trap() -> StringField:
    """A field that people do not see; what fills in every field gives itself away by it."""
    return StringField("Leave this empty", validators=[_must_stay_empty])


def _markdown(label: str, **options: Any) -> Field:
    field = text_area_field(label, most=TEXT_MAX, missing="Write what you want to say.", **options)
    field.kwargs["validators"].append(must_be_seen)
    return field


class TitleForm(BaseForm):
    """The first step of a new thread: its title, for which similar threads are looked up."""

    class Meta:
        csrf = False

    title = StringField("Title", filters=[tidy_line], validators=[Length(max=TITLE_MAX)])


class OpenThreadForm(BaseForm):
    title = line_field("Title", most=TITLE_MAX, missing="Say in a line what it is about.")
    kind = RadioField(
        "Kind",
        choices=[SelectChoice(kind.value, name) for kind, name in KINDS.items()],
        default=Kind.QUESTION.value,
    )
    text = _markdown("Text", description="Markdown. Lists, code and links work; pictures do not.")
    category = SelectField(
        "Category",
        choices=[SelectChoice(each.value, name) for each, name in CATEGORIES.items()],
        default=Category.LIMITS.value,
    )
    change = WholeNumberField(
        "Change",
        validators=[MayBeEmpty(), NumberRange(max=CHANGE_MAX, message="There is no such change.")],
        description="The number of the change that it is about.",
    )
    tier = SelectField("Tier", default="")
    model = SelectField("Model", default="")
    org = SelectField("For")
    visibility = RadioField(
        "Who reads it",
        choices=[
            SelectChoice(Visibility.PUBLIC.value, "Everyone"),
            SelectChoice(Visibility.PRIVATE.value, "Your organisation and our staff"),
        ],
        default=Visibility.PUBLIC.value,
    )
    website = _trap()

    def offer(
        self,
        *,
        orgs: Iterable[tuple[str, str]],
        tiers: Iterable[tuple[str, str]],
        models: Iterable[tuple[str, str]],
    ) -> "OpenThreadForm":
        """Say what can be chosen, as (value, name)."""
        self.org.choices = [SelectChoice(value, name) for value, name in orgs]
        for field, named in ((self.tier, tiers), (self.model, models)):
            field.choices = [SelectChoice("", "None"), *(SelectChoice(*each) for each in named)]
        if not self.org.choices:
            del self.org
            del self.visibility
        return self


class ReplyForm(BaseForm):
    text = _markdown("Your reply", description="Markdown.")
    answers = HiddenField(validators=[Length(max=40)])
    website = _trap()


class EditForm(BaseForm):
    text = _markdown("Text", description="Markdown. The text before stays readable.")
    seen = HiddenField(validators=[Length(max=40)])


class ReportForm(BaseForm):
    reason = reason_field(
        "What is wrong with it", description="Only our staff read this, with your address."
    )
    website = _trap()


class ActForm(BaseForm):
    """An act that needs nothing but the token."""


class ListForm(BaseForm):
    """What of the board to show. Empty means all."""

    class Meta:
        csrf = False

    q = StringField(
        "Search",
        filters=[tidy_line],
        validators=[
            Length(max=SEARCH_MAX, message=f"Use at most {SEARCH_MAX} characters."),
            must_be_plain,
        ],
        description="Threads in which all the words stand.",
    )
    state = SelectField(
        "State",
        default="",
        choices=[
            SelectChoice("", "Any"),
            *(SelectChoice(each.value, name) for each, name in STATES.items()),
        ],
    )
    kind = SelectField(
        "Kind",
        default="",
        choices=[
            SelectChoice("", "Any"),
            *(SelectChoice(each.value, name) for each, name in KINDS.items()),
        ],
    )
    category = SelectField(
        "Category",
        default="",
        choices=[
            SelectChoice("", "Any"),
            *(SelectChoice(each.value, name) for each, name in CATEGORIES.items()),
        ],
    )
    change = WholeNumberField(
        "Change",
        validators=[MayBeEmpty(), NumberRange(max=CHANGE_MAX, message="There is no such change.")],
    )
    sort = SelectField(
        "Order",
        default="active",
        choices=[SelectChoice(name, sort.label) for name, sort in SORTS.items()],
    )


class ModerateForm(BaseForm):
    reason = reason_field("Reason", description="The author reads it.")


class NoteForm(BaseForm):
    text = _markdown("Note", description="Only our staff reads it. Markdown.")

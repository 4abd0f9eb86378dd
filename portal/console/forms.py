from collections.abc import Iterable

from wtforms import SelectField
from wtforms.fields import SelectChoice

from portal.accounts.forms import NewPasswordForm, email_field, new_password_field
from portal.changelog.forms import PointInTimeField, QueryForm
from portal.journal.words import KIND_WORDS
from portal.web.forms import name_field


class SignUpForm(NewPasswordForm):
    email = email_field()
    password = new_password_field()  # again, since the order here is the order on the page
    organisation = name_field(
        "Organisation",
        description="Your company, team or project. It will own your API keys.",
        render_kw={"autocomplete": "organization"},
    )


class JournalForm(QueryForm):
    """What of a journal to show. Empty means all."""

    kind = SelectField(
        "About",
        default="",
        choices=[
            SelectChoice("", "Everything"),
            *(SelectChoice(kind.value, text) for kind, text in KIND_WORDS.items()),
        ],
    )
    who = SelectField("Who", default="")
    since = PointInTimeField("From", description="A date such as 2026-12-24, from 00:00 UTC.")
    before = PointInTimeField("Before", description="In the same form; that day is left out.")

    def offer(self, people: Iterable[tuple[str, str]]) -> "JournalForm":
        """Say whose acts can be chosen, as (id, name)."""
        named = [SelectChoice(id_, name or f"a deleted account ({id_})") for id_, name in people]
        self.who.choices = [SelectChoice("", "Anybody"), *named]
        return self

from typing import Any

from wtforms import RadioField, SelectMultipleField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired
from wtforms.widgets import CheckboxInput, ListWidget

from portal.accounts.confirm import ProofForm
from portal.core import clock
from portal.orgs.models import Role
from portal.orgs.policy import Scope
from portal.tokens.commands import TokenRequest
from portal.tokens.policy import SCOPE_WORDS, TOKEN_ROLES, USUAL_LIFE
from portal.web.forms import BaseForm, UtcInstantField, name_field


class IssueTokenForm(ProofForm):
    name = name_field("Name", description="What will use it, such as “deploy script”.")
    scopes = SelectMultipleField(
        "What it may do",
        choices=[SelectChoice(each.value, f"{each.value}: {SCOPE_WORDS[each]}") for each in Scope],
        validators=[InputRequired("Tick at least one.")],
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    expires_at = UtcInstantField("Ends at (UTC)", description="Empty: it never ends by itself.")

    @classmethod
    def fresh(cls, **values: Any) -> "IssueTokenForm":
        """The form before anybody fills it in: a token that ends is the usual one."""
        ends = (clock.now() + USUAL_LIFE).replace(second=0, microsecond=0)
        return cls(expires_at=ends, **values)

    def asked(self) -> TokenRequest:
        """What the form says, as the command takes it."""
        scopes = [Scope(each) for each in self.scopes.data]
        return TokenRequest(name=self.name.data, scopes=scopes, expires_at=self.expires_at.data)


class IssueOrgTokenForm(IssueTokenForm):
    role = RadioField(
        "Its role",
        choices=[SelectChoice(role.value, role.value.capitalize()) for role in TOKEN_ROLES],
        default=Role.DEVELOPER.value,
        description="The token does what this role may, and of that what you tick above.",
    )


class RevokeTokenForm(BaseForm):
    """Nothing to fill in."""

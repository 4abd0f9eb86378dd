from collections.abc import Iterable

from wtforms import RadioField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired

from portal.accounts.confirm import ProofForm
from portal.accounts.forms import NewPasswordForm, email_field
from portal.orgs.models import Role
from portal.web.forms import BaseForm, must_be_plain, name_field, tidy_line

ROLE_WORDS = {
    Role.OWNER: "Owner: everything, and may hand the organisation over",
    Role.MANAGER: "Manager: members, settings, keys and requests for a higher tier",
    Role.DEVELOPER: "Developer: issues, changes and revokes keys",
    Role.VIEWER: "Viewer: reads, and changes nothing",
}


class RoleForm(ProofForm):
    role = RadioField("Role", validators=[InputRequired("Choose a role.")])

    def offer(self, roles: Iterable[Role]) -> "RoleForm":
        """Say which roles are in the actor's gift."""
        self.role.choices = [SelectChoice(role.value, ROLE_WORDS[role]) for role in roles]
        return self


class InviteForm(RoleForm):
    email = email_field()


class AskForm(ProofForm):
    """A question that takes nothing but the proof of who answers it."""


class JoinForm(NewPasswordForm):
    """Sent from an invitation's page by who has no account yet."""


class AcceptForm(BaseForm):
    """Sent from an invitation's page by who is signed in."""


class NameForm(BaseForm):
    name = name_field("Name", render_kw={"autocomplete": "organization"})


class SlugForm(BaseForm):
    slug = StringField(
        "Address",
        description="Lower-case letters, digits and hyphens, up to 50. The old address leads to the new one.",
        filters=[tidy_line],
        validators=[InputRequired("Enter an address."), must_be_plain],
        render_kw={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"},
    )

from collections.abc import Iterable

from wtforms import RadioField, SelectMultipleField, TextAreaField
from wtforms.fields import SelectChoice
from wtforms.validators import Length
from wtforms.widgets import CheckboxInput, ListWidget

from portal.accounts.confirm import ProofForm
from portal.keys.commands import KeyRequest
from portal.keys.models import Environment
from portal.web.forms import BaseForm, UtcInstantField, name_field, reason_field


class IssueKeyForm(ProofForm):
    name = name_field("Name", description="What will use it, such as “billing worker”.")
    environment = RadioField(
        "Environment",
        choices=[SelectChoice(each.value, each.value.capitalize()) for each in Environment],
        default=Environment.LIVE.value,
        description="Test keys reach the same limits; the API is told that it is a test.",
    )
    expires_at = UtcInstantField("Ends at (UTC)", description="Empty: it never ends by itself.")
    models = SelectMultipleField(
        "Models",
        description="Tick none to allow every model that your tier offers.",
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    networks = TextAreaField(
        "Networks",
        description="One a line, such as 203.0.113.0/24. Empty: from anywhere.",
        validators=[Length(max=5000, message="Use at most 5,000 characters.")],
    )

    def offer(self, models: Iterable[str]) -> "IssueKeyForm":
        """Say which models can be ticked."""
        self.models.choices = [SelectChoice(model, model) for model in models]
        return self

    def asked(self) -> KeyRequest:
        """What the form says, as the command takes it."""
        return KeyRequest(
            name=self.name.data,
            environment=Environment(self.environment.data),
            expires_at=self.expires_at.data,
            models=self.models.data or (),
            networks=(self.networks.data or "").splitlines(),
        )


class RevokeKeyForm(BaseForm):
    reason = reason_field(
        "Reason", description="It stays with the key, for you and your colleagues."
    )

import re
from collections.abc import Mapping

from wtforms import (
    BooleanField,
    Field,
    SelectField,
    SelectMultipleField,
    StringField,
    ValidationError,
)
from wtforms.fields import SelectChoice
from wtforms.validators import Length as LengthOf

from portal.core.errors import Invalid
from portal.usage.alerts import Alerts, must_be_percentages
from portal.usage.history import Asked, Length
from portal.usage.queries import By
from portal.web.forms import BaseForm

_PARTS = re.compile(r"[\s,;%]+")
_WHOLE = re.compile(r"[0-9]{1,3}", re.ASCII)


KEYS_OFFERED = 100


class HistoryForm(BaseForm):
    """Asks and changes nothing, so it carries no token."""

    class Meta:
        csrf = False

    span = SelectField(
        "The last",
        choices=[SelectChoice(each.value, each.value) for each in Length],
        default=Length.DAY.value,
    )
    by = SelectField(
        "By", choices=[SelectChoice(each.value, each.value) for each in By], default=By.MODEL.value
    )
    model = SelectField("Model", default="")
    key = SelectMultipleField("Keys", description="None chosen: all. Several can be compared.")

    def offer(self, *, models: Mapping[str, str], keys: Mapping[str, str]) -> "HistoryForm":
        """Say what can be chosen: of many keys those used last, and those that are chosen."""
        chosen = self.key.data or ()
        self.model.choices = [
            SelectChoice("", "all models"),
            *(SelectChoice(slug, name) for slug, name in models.items()),
        ]
        self.key.choices = [
            SelectChoice(key_id, name)
            for place, (key_id, name) in enumerate(keys.items())
            if place < KEYS_OFFERED or key_id in chosen
        ]
        return self

    def asked(self) -> Asked:
        """What the form says."""
        return Asked(
            length=Length(self.span.data),
            by=By(self.by.data),
            model=self.model.data or None,
            keys=tuple(self.key.data or ()),
        )


class AlertsForm(BaseForm):
    thresholds = StringField(
        "Warn at, in per cent of a limit",
        description="Such as 80, 95. Empty: never.",
        validators=[LengthOf(max=100, message="Use at most 5 percentages.")],
    )
    by_mail = BooleanField(
        "By mail, too",
        description="To owners, managers and developers. The portal shows each warning either way.",
    )

    @classmethod
    def of(cls, alerts: Alerts) -> "AlertsForm":
        """The form as it stands before anybody changes it."""
        text = ", ".join(str(each) for each in alerts.thresholds)
        return cls(thresholds=text, by_mail=alerts.by_mail)

    def validate_thresholds(self, field: Field) -> None:
        parts = self._parts(field)
        if not all(_WHOLE.fullmatch(each) for each in parts):
            raise ValidationError("Use whole percentages from 1 to 100, with commas between them.")
        try:
            must_be_percentages([int(each) for each in parts])
        except Invalid as error:
            raise ValidationError(error.public) from error

    def asked(self) -> Alerts:
        """What the form says, as the command takes it."""
        parts = self._parts(self.thresholds)
        return Alerts(tuple(sorted({int(each) for each in parts})), bool(self.by_mail.data))

    @staticmethod
    def _parts(field: Field) -> list[str]:
        return [each for each in _PARTS.split(field.data or "") if each]

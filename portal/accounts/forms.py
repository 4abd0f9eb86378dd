from wtforms import (
    EmailField,
    Field,
    HiddenField,
    PasswordField,
    StringField,
    ValidationError,
)
from wtforms.validators import InputRequired, Length

from portal.accounts.confirm import ProofForm
from portal.accounts.policy import PASSWORD_MAX, PASSWORD_MIN, must_be_strong, normal_address
from portal.core.errors import Invalid
from portal.web.forms import EMAIL_MAX, BaseForm, must_be_plain, tidy_line


def email_field(label: str = "E-mail address") -> EmailField:
    return EmailField(
        label,
        filters=[tidy_line],
        validators=[
            InputRequired("Enter your e-mail address."),
            Length(max=EMAIL_MAX, message=f"Use at most {EMAIL_MAX} characters."),
            must_be_plain,
            _must_be_an_address,
        ],
        render_kw={"autocomplete": "email"},
    )


def _must_be_an_address(form: object, field: Field) -> None:  # noqa: ARG001
    try:
        field.data = normal_address(field.data)
    except Invalid as error:
        raise ValidationError(error.public) from error


def new_password_field() -> PasswordField:
    return PasswordField(
        "Password",
        description=(
            f"At least {PASSWORD_MIN} characters. A few words that you will remember do well."
        ),
        validators=[
            InputRequired("Choose a password."),
            Length(
                min=PASSWORD_MIN,
                max=PASSWORD_MAX,
                message=f"Use {PASSWORD_MIN} to {PASSWORD_MAX} characters.",
            ),
        ],
        render_kw={"autocomplete": "new-password"},
    )


class NewPasswordForm(BaseForm):
    """Base of the forms in which a password is chosen."""

    password = new_password_field()

    def is_strong(self, *, email: str) -> bool:
        """Whether the password will do for the person with this address; if not, say why beside it."""
        try:
            must_be_strong(self.password.data, email=email)
        except Invalid as error:
            self.refuse(error.public, field=error.field)
            return False
        return True


class SetPasswordForm(NewPasswordForm):
    """Sent from the page that a mailed link opens."""


class ForgotPasswordForm(BaseForm):
    email = email_field()


class ChangeAddressForm(ProofForm):
    email = email_field("New e-mail address")


class SignInForm(BaseForm):
    email = email_field()
    password = PasswordField(
        "Password",
        validators=[InputRequired("Enter your password."), Length(max=1000)],
        render_kw={"autocomplete": "current-password"},
    )
    next = HiddenField()


def code_field(label: str = "Code", **options: str) -> StringField:
    """Six digits of the app; where `description` says so, a recovery code too."""
    return StringField(
        label,
        validators=[
            InputRequired("Enter the code."),
            Length(max=100, message="This is no code."),
            must_be_plain,
        ],
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric"},
        **options,
    )


class CodeForm(BaseForm):
    """The second step of signing in."""

    code = code_field(
        description="Six digits from your app. Without your phone, a recovery code works here, too."
    )
    next = HiddenField()


class TurnOnForm(ProofForm):
    """Sent with the first code of an app that has just been told the secret."""

    code = code_field("Code that your app shows now")
    sealed = HiddenField()

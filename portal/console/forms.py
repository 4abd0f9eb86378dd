from portal.accounts.forms import NewPasswordForm, email_field, new_password_field
from portal.web.forms import name_field


class SignUpForm(NewPasswordForm):
    email = email_field()
    password = new_password_field()  # again, since the order here is the order on the page
    organisation = name_field(
        "Organisation",
        description="Your company, team or project. It will own your API keys.",
        render_kw={"autocomplete": "organization"},
    )

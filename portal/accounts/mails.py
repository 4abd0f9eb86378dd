from portal.core.outbox import Message


def confirm_email(*, to: str, link: str) -> Message:
    return Message(
        to=to,
        subject="Confirm your address",
        text=(
            "Open this link to confirm your address:\n\n"
            f"{link}\n\n"
            "It works once, for 48 hours.\n\n"
            "You did not sign up? Then leave this mail alone: without the link,\n"
            "nobody can issue an API key under your address.\n"
        ),
    )


def already_signed_up(*, to: str, sign_in_url: str) -> Message:
    return Message(
        to=to,
        subject="You already have an account",
        text=(
            "Somebody, perhaps you, tried to sign up with this address. You have an account already:\n\n"
            f"{sign_in_url}\n\n"
            "Nothing was changed.\n"
        ),
    )


NOT_YOU = "Was this not you? Then tell the people who run this portal at once.\n"


def second_factor_on(*, to: str) -> Message:
    return Message(
        to=to,
        subject="Your second factor is on",
        text=(
            "From now on, signing in asks for a code of your app, after the password.\n"
            "Every other browser was signed out.\n"
            "Keep the recovery codes where you find them without your phone.\n\n" + NOT_YOU
        ),
    )


def second_factor_off(*, to: str) -> Message:
    return Message(
        to=to,
        subject="Your second factor is off",
        text="From now on, your password alone signs you in.\n\n" + NOT_YOU,
    )


def second_factor_reset(*, to: str) -> Message:
    return Message(
        to=to,
        subject="Your second factor was taken off",
        text=(
            "The people who run this portal have taken the second factor off your account.\n"
            "From now on, your password alone signs you in, and every browser was signed out.\n"
            "Set up a new one on your account's page.\n\n"
            "You did not ask for this? Then tell them at once.\n"
        ),
    )


def recovery_codes_renewed(*, to: str) -> Message:
    return Message(
        to=to,
        subject="You have new recovery codes",
        text="The recovery codes that you had before count no more.\n\n" + NOT_YOU,
    )


def recovery_code_used(*, to: str, left: int) -> Message:
    return Message(
        to=to,
        subject="A recovery code was used",
        text=(
            "Somebody, probably you, used one of your recovery codes in place of a code of the app.\n"
            f"Recovery codes left: {left}. New ones are made on your account's page.\n\n" + NOT_YOU
        ),
    )


def codes_guessed(*, to: str) -> Message:
    return Message(
        to=to,
        subject="Somebody tries to guess your code",
        text=(
            "Many wrong codes were given for your account. Whoever did that knows your password, or sits at\n"
            "a browser in which you are signed in. For a while no further code is taken.\n\n"
            + NOT_YOU
        ),
    )

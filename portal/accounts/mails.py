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

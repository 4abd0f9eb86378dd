from portal.core.outbox import Message


def confirm_email(*, to: str, link: str) -> Message:
    return Message(
        to=to,
        subject="Confirm your address",
        text=(
            "Open this link to confirm your address:\n\n"
            f"{link}\n\n"
            "It works once, for 48 hours. If you did not sign up, leave this mail alone:\n"
            "without the link no key can be issued.\n"
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

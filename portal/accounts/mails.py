from datetime import datetime

from portal.core.outbox import Message
from portal.web.filters import instant


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


def reset_password(*, to: str, link: str) -> Message:
    return Message(
        to=to,
        subject="Set a new password",
        text=(
            "Somebody, probably you, has forgotten the password of your account. This link sets a new one:\n\n"
            f"{link}\n\n"
            "It works once, for one hour, and signs you out everywhere else.\n\n"
            "You did not ask for this? Then leave this mail alone: your password stays as it is.\n"
        ),
    )


def password_set(*, to: str, url: str) -> Message:
    return Message(
        to=to,
        subject="Your password was set",
        text=(
            "Your account has a new password. Every browser in which you were signed in was signed out.\n\n"
            f"Was this not you? Then set another at once: {url}/forgot-password\n"
        ),
    )


def confirm_new_address(*, to: str, link: str, both: bool) -> Message:
    then = "Your old address has to say yes, too.\n" if both else ""
    return Message(
        to=to,
        subject="Confirm your new address",
        text=(
            "Somebody, probably you, wants to use this address for their account:\n\n"
            f"{link}\n\n"
            f"It works for 24 hours. {then}\n"
            "Was this not you? Then say no behind the same link, or leave this mail alone.\n"
        ),
    )


def confirm_old_address(*, to: str, new: str, link: str) -> Message:
    return Message(
        to=to,
        subject="Your account is to get another address",
        text=(
            f"Somebody, probably you, wants to change the address of your account to {new}.\n"
            "Say yes or no behind this link:\n\n"
            f"{link}\n\n"
            "It works for 24 hours. Without your yes nothing changes.\n\n"
            "Was this not you? Then say no: that also signs every browser out.\n"
        ),
    )


def address_in_use(*, to: str, sign_in_url: str) -> Message:
    return Message(
        to=to,
        subject="You have an account under this address",
        text=(
            "Somebody, perhaps you, wants to use this address for another account. It has an account already:\n\n"
            f"{sign_in_url}\n\n"
            "Nothing was changed.\n"
        ),
    )


def address_changed(*, to: str, new: str) -> Message:
    return Message(
        to=to,
        subject="Your account has another address",
        text=f"From now on you sign in with {new}, and mails go there.\n\n" + NOT_YOU,
    )


def new_device(*, to: str, device: str, ip: str | None, at: datetime, url: str) -> Message:
    return Message(
        to=to,
        subject="A new sign-in to your account",
        text=(
            "Somebody, probably you, signed in with a browser that was not here before:\n\n"
            f"{device}\nfrom {ip or 'an unknown address'}\n{instant(at)}\n\n"
            f"Was this not you? Then set a new password at once, which signs everybody out:\n{url}/forgot-password\n"
        ),
    )


def account_deleted(*, to: str) -> Message:
    return Message(
        to=to,
        subject="Your account is deleted",
        text=(
            "Your account is deleted: your address, your sessions and the network addresses that we kept of you\n"
            "are erased. What you did in organisations stays in their journals under a number, without your\n"
            "name.\n\n"
            "This is our last mail to you.\n"
        ),
    )

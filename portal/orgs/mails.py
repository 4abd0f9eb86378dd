from portal.core.outbox import Message


def suspended(*, to: str, org: str, reason: str) -> Message:
    return Message(
        to=to,
        subject=f"{org} is suspended",
        text=(
            f"Your organisation {org} was suspended. Its keys are refused until the suspension is lifted.\n\n"
            f"The reason given:\n\n{reason}\n"
        ),
    )


def lifted(*, to: str, org: str, reason: str) -> Message:
    return Message(
        to=to,
        subject=f"{org} is no longer suspended",
        text=(
            f"The suspension of your organisation {org} was lifted. Its keys work again.\n\n"
            f"The reason given:\n\n{reason}\n"
        ),
    )


def from_staff(*, to: str, org: str, subject: str, text: str) -> Message:
    because = f"You receive this as an owner of {org}; it cannot be switched off."
    return Message(to=to, subject=subject, text=f"{text}\n\n{because}\n")

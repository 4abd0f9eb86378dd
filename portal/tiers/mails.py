from portal.core.outbox import Message


def moved(*, to: str, org: str, tier: str, reason: str) -> Message:
    return Message(
        to=to,
        subject=f"{org} is now on {tier}",
        text=(
            f"Your organisation {org} was moved to the tier {tier}. Its limits apply from now on;\n"
            f"what you have used so far stays counted.\n\nThe reason given:\n\n{reason}\n"
        ),
    )

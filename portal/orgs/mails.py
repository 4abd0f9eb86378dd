from dataclasses import dataclass

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


def invited(*, to: str, org: str, by: str, role: str, link: str) -> Message:
    return Message(
        to=to,
        subject=f"You are invited to {org}",
        text=(
            f"{by} invites you to join the organisation “{org}” as {role}. Open this link to accept:\n\n"
            f"{link}\n\n"
            "It works once, for 7 days, and only for this address.\n\n"
            "You do not know what this is about? Then leave this mail alone: nothing happens.\n"
        ),
    )


def joined(*, to: str, org: str, who: str, role: str) -> Message:
    text = f"{who} is a member of {org} now: {role}."
    return _about_members(to=to, org=org, subject=f"{org} has a new member", text=text)


@dataclass(frozen=True)
class RoleChange:
    who: str
    was: str
    role: str


def role_changed(*, to: str, org: str, by: str, change: RoleChange) -> Message:
    is_yours = to == change.who
    subject = f"Your role in {org} is {change.role} now" if is_yours else f"A role in {org} changed"
    whose = "your role" if is_yours else f"the role of {change.who}"
    text = f"{by} changed {whose} in {org} from {change.was} to {change.role}."
    return _about_members(to=to, org=org, subject=subject, text=text)


def handed_over(*, to: str, org: str, by: str, who: str) -> Message:
    subject = f"{org} is yours now" if to == who else f"{org} was handed over"
    new = "you" if to == who else who
    text = f"{by} made {new} an owner of {org}, and is a manager there from now on."
    return _about_members(to=to, org=org, subject=subject, text=text)


def removed(*, to: str, org: str, by: str, who: str) -> Message:
    if to == who:
        return Message(
            to=to,
            subject=f"You are no longer a member of {org}",
            text=f"{by} removed you from {org}. Keys that you issued there belong to {org}.\n",
        )
    text = f"{by} removed {who} from {org}."
    return _about_members(to=to, org=org, subject=f"A member was removed from {org}", text=text)


def left(*, to: str, org: str, who: str) -> Message:
    text = f"{who} left {org}, and is no longer a member."
    return _about_members(to=to, org=org, subject=f"A member left {org}", text=text)


def renamed(*, to: str, org: str, was: str, by: str) -> Message:
    text = f"{by} renamed your organisation: {was} is called {org} now."
    return _about_members(to=to, org=org, subject=f"{was} is called {org} now", text=text)


def moved(*, to: str, org: str, by: str, address: str) -> Message:
    text = f"{by} gave {org} another address here:\n\n{address}\n\nThe one before leads to it."
    return _about_members(to=to, org=org, subject=f"{org} has another address", text=text)


def _about_members(*, to: str, org: str, subject: str, text: str) -> Message:
    because = (
        f"You receive this because it is about you, or because you are an owner of {org}; "
        "it cannot be switched off."
    )
    return Message(to=to, subject=subject, text=f"{text}\n\n{because}\n")

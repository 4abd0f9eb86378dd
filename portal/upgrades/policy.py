"""Pure rules: what a tier requires and how far an organisation is, the states of a request, its clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from plimsoll.contract.terms import Tier
from portal.changelog import words
from portal.core.durations import working_days_after
from portal.upgrades.models import State

# Published on the pages: the staff decides within so many working days (Monday to Friday, UTC).
TARGET_WORKING_DAYS = 3
TARGET = f"{TARGET_WORKING_DAYS} working days"
MEDIAN_OVER = timedelta(days=90)
DAY = timedelta(days=1)

# ---- requirements ----


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What requirements are measured against."""

    created_at: datetime
    is_confirmed: bool
    owners: int
    owners_with_factor: int
    active_days: int


@dataclass(frozen=True)
class Requirement:
    """One line of a checklist. `progress`: "5 of 7 days old"; `has_data`: whether it can be measured yet."""

    name: str
    text: str
    is_met: bool
    progress: str
    has_data: bool = True

    @property
    def sentence(self) -> str:
        """ "Account 5 of 7 days old", "Second factor: not yet", "Used on 3 of 7 days"."""
        joint = " " if self.name in _COUNTED or not self.has_data else ": "
        return f"{self.text}{joint}{self.progress}"


_TITLES = {
    "email_confirmed": "E-mail confirmed",
    "second_factor": "Second factor",
    "account_age_days": "Account",
    "active_days": "Used",
}
_COUNTED = frozenset({"account_age_days", "active_days"})
# What nothing reports yet counts as not met, and the page says why.
WITHOUT_DATA = {
    "paid_microusd": "counts as not met: no payment is known",
}


def check(requirements: Mapping[str, int | bool], facts: Facts, at: datetime) -> list[Requirement]:
    """The checklist of what a tier requires, at an instant."""
    lines = []
    for name, wanted in requirements.items():
        text = words.requirement(name, wanted)
        if text:
            text = _TITLES.get(name, words.capital(text))
            lines.append(_line(name, text, wanted=wanted, facts=facts, at=at))
    return lines


def _line(name: str, text: str, *, wanted: int, facts: Facts, at: datetime) -> Requirement:
    if name == "email_confirmed":
        done = facts.is_confirmed
        return Requirement(name, text, done, "done" if done else "not yet")
    if name == "second_factor":
        done = 0 < facts.owners == facts.owners_with_factor
        return Requirement(name, text, done, "done" if done else _factors(facts))
    if name == "account_age_days":
        # Whole days only: five days and 23 hours are five.
        age = max(0, (at - facts.created_at) // DAY)
        return Requirement(name, text, age >= wanted, f"{_of_days(age, wanted)} old")
    if name == "active_days":
        days = facts.active_days
        return Requirement(name, text, days >= wanted, f"on {_of_days(days, wanted)}")
    return Requirement(name, text, is_met=False, progress=WITHOUT_DATA[name], has_data=False)


def _of_days(number: int, wanted: int) -> str:
    return f"{min(number, wanted):,} of {wanted:,} {'day' if wanted == 1 else 'days'}"


def _factors(facts: Facts) -> str:
    if facts.owners == 1:
        return "not yet"
    return f"not yet: {facts.owners_with_factor:,} of {facts.owners:,} owners have one"


def can_be_measured(tier: Tier) -> bool:
    """Whether everything that a tier requires can be measured yet: else nobody meets it."""
    return not any(tier.requirements.get(name) for name in WITHOUT_DATA)


# ---- the states of a request ----


class Act(StrEnum):
    """What can be done with a request that was sent."""

    TAKE_UP = "take_up"
    ASK = "ask"
    ANSWER = "answer"
    APPROVE = "approve"
    DECLINE = "decline"
    WITHDRAW = "withdraw"


_OPEN = frozenset({State.SUBMITTED, State.IN_REVIEW, State.QUESTION_ASKED, State.ANSWERED})
_REVIEWED = _OPEN - {State.SUBMITTED}

# Each act: the states in which it may be done, and the one that it leads to.
STEPS: Mapping[Act, tuple[frozenset[State], State]] = {
    Act.TAKE_UP: (frozenset({State.SUBMITTED}), State.IN_REVIEW),
    Act.ASK: (frozenset({State.IN_REVIEW, State.ANSWERED}), State.QUESTION_ASKED),
    Act.ANSWER: (frozenset({State.QUESTION_ASKED}), State.ANSWERED),
    Act.APPROVE: (_REVIEWED, State.APPROVED),
    Act.DECLINE: (_REVIEWED, State.DECLINED),
    Act.WITHDRAW: (_OPEN, State.WITHDRAWN),
}
# Whom an open request waits for, as the staff reads it.
WAITS: Mapping[State, str] = {
    State.SUBMITTED: "waits to be taken up",
    State.IN_REVIEW: "is in review",
    State.QUESTION_ASKED: "waits for the organisation's answer",
    State.ANSWERED: "is answered and waits for you",
}
# How a sentence says what brought a request where it is.
CAME_BY: Mapping[State, str] = {
    State.SUBMITTED: "was sent",
    State.IN_REVIEW: "was taken up",
    State.QUESTION_ASKED: "was asked a question",
    State.ANSWERED: "was answered",
    State.APPROVED: "was approved",
    State.DECLINED: "was declined",
    State.WITHDRAWN: "was withdrawn",
}


def may(act: Act, state: State) -> bool:
    """Whether an act is possible in a state."""
    return state in STEPS[act][0]


def leads_to(act: Act) -> State:
    """The state that an act leads to."""
    return STEPS[act][1]


# ---- its clock ----


def due_at(created_at: datetime) -> datetime:
    """When a request is to be decided by: the target's working days after it came."""
    return working_days_after(created_at, TARGET_WORKING_DAYS)

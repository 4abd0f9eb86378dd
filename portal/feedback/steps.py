"""Pure rules of a thread's way: its states, who takes it where, and the text of a decision's record."""

from collections.abc import Mapping
from enum import StrEnum

from portal.feedback.models import Decision, State, Thread


class Act(StrEnum):
    """What the staff does with a thread. There is no other way to an end but its author's own."""

    ACKNOWLEDGE = "acknowledge"
    START_REVIEW = "start_review"
    DECIDE = "decide"
    DELIVER = "deliver"


_WAITING = frozenset({State.OPEN, State.ACKNOWLEDGED, State.UNDER_REVIEW})

# Each act: the states in which it may be done, and the one that it leads to.
STEPS: Mapping[Act, tuple[frozenset[State], State]] = {
    Act.ACKNOWLEDGE: (frozenset({State.OPEN}), State.ACKNOWLEDGED),
    Act.START_REVIEW: (frozenset({State.OPEN, State.ACKNOWLEDGED}), State.UNDER_REVIEW),
    # What was decided can be decided anew, with a record of its own; what was closed stays closed.
    Act.DECIDE: (_WAITING | {State.DECIDED, State.DELIVERED}, State.DECIDED),
    Act.DELIVER: (frozenset({State.DECIDED}), State.DELIVERED),
}


def may(act: Act, thread: Thread) -> bool:
    """Whether an act is possible. What a moderator locked as spam or hid is not decided about."""
    is_spam = thread.locked_at is not None and not (thread.locked_for or "").startswith("dec_")
    return thread.state in STEPS[act][0] and thread.hidden_at is None and not is_spam


def leads_to(act: Act) -> State:
    """The state that an act leads to."""
    return STEPS[act][1]


def is_waiting(thread: Thread) -> bool:
    """Whether it has neither a decision nor an end of its author's."""
    return thread.state in _WAITING


def token_of(thread: Thread) -> str:
    """What a form carries of the thread it was made on, so that whoever was quicker is noticed."""
    return f"{thread.state.value}:{thread.decision_id or ''}"


def record_text(decision: Decision) -> str:
    """All that a decision says, as Markdown: what stands in the log is the SHA-256 of this.

    Earlier hashes rest on this form to the byte; another one would need a version of its own.
    """
    parts = [decision.reason]
    if decision.weighed:
        parts.append(f"## What was weighed\n\n{decision.weighed}")
    if decision.until_on is not None:
        parts.append(f"Deferred until {decision.until_on.isoformat()}.")
    if decision.review_on is not None:
        parts.append(f"To be looked at again on {decision.review_on.isoformat()}.")
    return "\n\n".join(parts) + "\n"

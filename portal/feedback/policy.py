"""Pure rules: what a thread allows in which state, and which texts can stand on the board."""

from portal.changelog.prose import depth
from portal.core.text import can_be_seen
from portal.feedback.errors import (
    BadText,
    PostHidden,
    ThreadClosed,
    ThreadDecided,
    ThreadHidden,
    ThreadLocked,
)
from portal.feedback.models import TITLE_MAX, Category, Kind, Outcome, Post, State, Thread

TEXT_MAX = 10_000
DEPTH_MAX = 12

KINDS = {
    Kind.QUESTION: "Question",
    Kind.PROBLEM: "Problem",
    Kind.REQUEST: "Request",
    Kind.REPLY: "Reply to a change",
}
CATEGORIES = {
    Category.LIMITS: "Limits and tiers",
    Category.MODELS: "Models",
    Category.KEYS: "API keys",
    Category.GATEWAYS: "Gateways and headers",
    Category.PORTAL: "This portal",
    Category.DOCS: "Docs",
    Category.OTHER: "Something else",
}
STATES = {
    State.OPEN: "Open",
    State.ACKNOWLEDGED: "Acknowledged",
    State.UNDER_REVIEW: "Under review",
    State.DECIDED: "Decided",
    State.DELIVERED: "Delivered",
    State.CLOSED: "Closed by its author",
}
OUTCOMES = {
    Outcome.ADOPTED: "Adopted",
    Outcome.PARTLY: "Adopted, partly",
    Outcome.NOT_ADOPTED: "Not adopted",
    Outcome.DEFERRED: "Deferred",
}
# Before a decision a thread is its author's to close; after one it is part of the record.
CLOSABLE = frozenset({State.OPEN, State.ACKNOWLEDGED, State.UNDER_REVIEW})


def must_be_title(title: str) -> None:
    """Raises BadText."""
    if not 1 <= len(title) <= TITLE_MAX:
        raise BadText(f"Use 1 to {TITLE_MAX} characters.", field="title")
    if not can_be_seen(title):
        raise BadText("Use at least one character that can be seen.", field="title")


def must_be_text(text: str) -> None:
    """Raises BadText, also for blocks so deep in each other that some would be left out unseen."""
    if not 1 <= len(text) <= TEXT_MAX:
        raise BadText(f"Use 1 to {TEXT_MAX:,} characters.", field="text")
    if not can_be_seen(text):
        raise BadText("Use at least one character that can be seen.", field="text")
    if depth(text) > DEPTH_MAX:
        raise BadText(
            "Lists and quotes stand too deep in each other here. Use fewer levels.", field="text"
        )


def must_take_posts(thread: Thread) -> None:
    """Whether something can be added to or changed in a thread. Raises ThreadHidden, ThreadLocked, ThreadClosed."""
    if thread.hidden_at is not None:
        raise ThreadHidden
    if thread.locked_at is not None:
        raise ThreadLocked
    if thread.state is State.CLOSED:
        raise ThreadClosed


def takes_posts(thread: Thread) -> bool:
    ended = thread.hidden_at or thread.locked_at
    return ended is None and thread.state is not State.CLOSED


def must_be_readable(post: Post) -> None:
    """Raises PostHidden."""
    if post.hidden_at is not None:
        raise PostHidden


def must_be_closable(thread: Thread) -> None:
    """Raises ThreadDecided, and what `must_take_posts` raises."""
    must_take_posts(thread)
    if thread.state not in CLOSABLE:
        raise ThreadDecided


def may_edit(post: Post, *, user_id: str | None, is_staff: bool) -> bool:
    """Whoever wrote it; an official answer is the staff's together."""
    if post.is_official and is_staff:
        return True
    return user_id is not None and post.author_id == user_id

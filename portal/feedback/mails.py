"""What those concerned by a thread are told, and what the staff are."""

from dataclasses import dataclass

from portal.core.outbox import Message
from portal.feedback.models import Decision, Post
from portal.feedback.policy import OUTCOMES

TEXT_MAX = 4_000
STANDS = "You get this mail because you opened, follow, voted for or wrote in this thread."
STAFF = "You get this mail because you are one of the staff of this portal."


@dataclass(frozen=True)
class About:
    """A thread: its number, its title, and the portal's own address."""

    number: int
    title: str
    url: str

    @property
    def named(self) -> str:
        return f"thread {self.number}, “{self.title}”," if self.title else f"thread {self.number}"

    @property
    def page(self) -> str:
        return f"{self.url}/feedback/{self.number}"


def decided(to: str, about: About, decision: Decision) -> Message:
    said = OUTCOMES[decision.outcome].lower()
    if decision.until_on is not None:
        said += f" until {decision.until_on.isoformat()}"
    parts = [f"The {about.named} is decided: {said}.", f"The reason:\n\n{_cut(decision.reason)}"]
    if decision.weighed:
        parts.append(f"What was weighed:\n\n{_cut(decision.weighed)}")
    if decision.change is not None:
        parts.append(
            f"What comes of it: change {decision.change}, {about.url}/changelog/{decision.change}"
        )
    if decision.review_on is not None:
        parts.append(f"It will be looked at again on {decision.review_on.isoformat()}.")
    parts.append(
        "The decision stands in the public log as the SHA-256 of this text:\n"
        f"{about.page}/decisions/{decision.id}.md"
    )
    return _message(to, f"Decided: {about.title}", parts, about=about, stands=STANDS)


def answered(to: str, about: About, post: Post) -> Message:
    by = "The portal" if post.author_id is None else "Our staff"
    parts = [f"{by} answered in the {about.named} officially:", _cut(post.text)]
    return _message(to, f"An official answer: {about.title}", parts, about=about, stands=STANDS)


def edited(to: str, about: About, post: Post) -> Message:
    parts = [
        f"An official answer in the {about.named} was edited. It reads now:",
        _cut(post.text),
        f"The text before stays readable: {about.page}/posts/{post.id}/history",
    ]
    return _message(
        to, f"An official answer was edited: {about.title}", parts, about=about, stands=STANDS
    )


def clock_runs_out(to: str, about: About, *, what: str, due_at: str, is_missed: bool) -> Message:
    said = f"was due by {due_at}, and everybody reads that" if is_missed else f"is due by {due_at}"
    subject = f"{'Missed' if is_missed else 'Due soon'}: {about.title}"
    parts = [f"The {what} of the {about.named} {said}."]
    return _message(to, subject, parts, about=about, stands=STAFF)


def refused(to: str, about: About, *, change: int, name: str, why: str) -> Message:
    wanted = (
        f"Enough organisations voted or wrote in {about.named}, so that change {change} should be held"
        if name == "hold"
        else f"The {about.named} is decided, so that change {change} should be released"
    )
    parts = [
        f"{wanted}. The rule of notice refused that:\n\n{why}",
        f"It is tried again. What you can do: {about.url}/admin/changes",
    ]
    subject = f"Change {change}: its {name} was refused"
    return _message(to, subject, parts, about=about, stands=STAFF)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX].rstrip()} …"


def _message(to: str, subject: str, parts: list[str], *, about: About, stands: str) -> Message:
    text = "\n\n".join([*parts, f"See {about.page}", stands]) + "\n"
    return Message(to=to, subject=" ".join(subject.split())[:200], text=text)

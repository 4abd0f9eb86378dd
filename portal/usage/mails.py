from collections.abc import Sequence
from dataclasses import dataclass

from portal.core.outbox import Message
from portal.usage.shown import LoadLine
from portal.web.filters import instant

STANDS = (
    "You receive this since you may issue keys in the organisation. When to warn, and whether by mail, "
    "is set on the page of warnings."
)


@dataclass(frozen=True)
class Reached:
    """A limit as it stood when a threshold, in percent, was reached."""

    line: LoadLine
    threshold: int


def reached(*, to: str, org: str, lines: Sequence[Reached], url: str) -> Message:
    """That use has reached a share of one limit or of several."""
    first = lines[0]
    more = f" and {len(lines) - 1:,} more" if len(lines) > 1 else ""
    subject = f"{org}: {first.threshold} % of {first.line.title}{more}"
    said = [_sentence(each) for each in lines]
    advice = "What goes beyond a limit is refused with status 429, which says when to try again."
    parts = [*said, advice, f"{url}\n{url}/warnings", STANDS]
    return Message(to=to, subject=subject[:200], text="\n\n".join(parts) + "\n")


def _sentence(each: Reached) -> str:
    line = each.line
    text = f"{line.title}: {line.text}, {each.threshold} % or more."
    if line.free_at is not None:
        text += f" {line.free_words} {instant(line.free_at)}."
    return text

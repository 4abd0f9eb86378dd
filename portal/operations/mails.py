from portal.core.outbox import Message
from portal.operations.advice import ADVICE
from portal.operations.models import Alert
from portal.web.filters import instant

STANDS = "You receive this as one of the staff who run the portal; it cannot be switched off."


def opened(*, to: str, alert: Alert, url: str) -> Message:
    """That something is wrong, and what to do."""
    advice = ADVICE[alert.kind]
    parts = [_place(alert), alert.text, advice.means, f"What to do: {advice.act}"]
    parts.append(f"{url}/admin/alerts\n{url}/docs/operating#{alert.kind.value}")
    return _message(to, _title(alert), parts)


def closed(*, to: str, alert: Alert, url: str) -> Message:
    """That it is over."""
    times = [instant(each) for each in (alert.since, alert.closed_at) if each is not None]
    parts = [_place(alert), f"It lasted from {' to '.join(times)}.", f"{url}/admin/alerts"]
    return _message(to, f"Over: {_title(alert)}", parts)


def _title(alert: Alert) -> str:
    title = ADVICE[alert.kind].title
    return f"{title}: {alert.name}" if alert.name else title


def _place(alert: Alert) -> str:
    return f"{_title(alert)}, since {instant(alert.since)}."


def _message(to: str, subject: str, parts: list[str]) -> Message:
    return Message(to=to, subject=subject, text="\n\n".join([*parts, STANDS]) + "\n")

"""How values read on a page."""

from datetime import UTC, datetime

from flask import Flask


def install(app: Flask) -> None:
    app.jinja_env.filters.update(grouped=grouped, instant=instant, iso=iso, plural=plural)


def grouped(number: int) -> str:
    """1234567 → "1,234,567"."""
    return f"{number:,}"


def _aware(value: datetime | int) -> datetime:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) else value.astimezone(UTC)


def instant(value: datetime | int) -> str:
    """An instant (aware, or Unix seconds) as people read it: "2026-12-23 05:00 UTC"; seconds where there are any."""
    at = _aware(value)
    return at.strftime("%Y-%m-%d %H:%M:%S UTC" if at.second else "%Y-%m-%d %H:%M UTC")


def iso(value: datetime | int) -> str:
    """An instant for the `datetime` attribute and for people's JSON: RFC 3339, whole seconds, `Z`."""
    return _aware(value).strftime("%Y-%m-%dT%H:%M:%SZ")


def plural(count: int, one: str, many: str = "") -> str:
    """ "1 key", "2 keys"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"

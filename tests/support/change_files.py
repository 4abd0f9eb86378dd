"""What tests of writing changes share: the command line, files, and what a refusal must not touch."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.support.clocks import START

CELL = {
    "tier": "build",
    "model": "sonnet-5",
    "metric": "requests",
    "kind": "bucket",
    "period": 60,
}


def in_days(days: float, *, hours: float = 0) -> str:
    """An instant counted from the test's beginning, as a file has it."""
    return (START + timedelta(days=days, hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix(days: float, *, hours: float = 0) -> int:
    return int((START + timedelta(days=days, hours=hours)).timestamp())


def change_file(quota: int | None = 4000, /, **values: Any) -> dict[str, Any]:
    """A change of Build · Sonnet 5 · requests per minute, which stands at 5,000."""
    row = {**CELL, "quota": quota}
    return {"title": "Fewer requests", "reason": "Room for all.", "rows": [row], **values}


def write(path: Path, content: object) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)

"""Our own source, read once for the rules."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.worlds import TOP


@dataclass(frozen=True)
class Source:
    """One Python file: its path from the top, and its text."""

    path: str
    text: str

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(ast.parse(self.text)))

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def sources(*folders: str) -> Iterator[Source]:
    """Every Python file in folders of ours."""
    for folder in folders:
        for path in sorted((TOP / folder).rglob("*.py")):
            yield read(path)


def read(path: Path) -> Source:
    return Source(str(path.relative_to(TOP)), path.read_text(encoding="utf-8"))

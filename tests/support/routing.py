"""Builders of addresses, compiled once a run: each test has an application of its own."""

from collections.abc import Callable
from typing import Any

from werkzeug.routing.rules import Rule


def keep_compiled_builders() -> None:
    """Compiling them is four fifths of what it takes to make an application.

    A builder depends on nothing but its rule's parts and defaults, so equal rules may share one.
    """
    compile_builder = Rule._compile_builder
    kept: dict[tuple[Any, ...], Callable[..., tuple[str, str]]] = {}

    def kept_builder(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:  # noqa: FBT001, FBT002
        key = (tuple(rule._trace), repr(rule.defaults), append_unknown)
        if key not in kept:
            kept[key] = compile_builder(rule, append_unknown)
        return kept[key]

    Rule._compile_builder = kept_builder  # type: ignore[method-assign, assignment]

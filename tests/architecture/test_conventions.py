"""House rules that no linter knows. Each is shown a bad example, so that it is known to fire."""

import ast
import re
from collections.abc import Callable, Iterable

import pytest

from tests.architecture.source import Source, sources

FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 400
VIEWS_LINES_MAX = 250
DOMAIN = {"commands.py", "errors.py", "mails.py", "models.py", "policy.py", "queries.py"}
# Where the product meets its surroundings: a commit there is another thing than ours.
COMMITS = {"portal/core/db.py"}
TODO = re.compile(r"\bTODO\b(?!\(#\d+\))")


def commits(source: Source) -> Iterable[str]:
    """Only `transaction()` commits: it seals first."""
    if source.path in COMMITS or not source.path.startswith("portal/"):
        return
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr == "commit":
            yield f"{source.path}:{node.lineno} commits; open a `with transaction(session):`"


def long_functions(source: Source) -> Iterable[str]:
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{source.path}:{node.lineno} {node.name} has {length} lines"


def long_files(source: Source) -> Iterable[str]:
    most = VIEWS_LINES_MAX if source.name == "views.py" else FILE_LINES_MAX
    if len(source.lines) > most:
        yield f"{source.path} has {len(source.lines)} lines, at most {most} are allowed"


def relative_imports(source: Source) -> Iterable[str]:
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{source.path}:{node.lineno} imports relatively"


def todos(source: Source) -> Iterable[str]:
    for number, line in enumerate(source.lines, 1):
        if TODO.search(line):
            yield f"{source.path}:{number} has a TODO without an issue: write TODO(#12)"


def bare_flushes(source: Source) -> Iterable[str]:
    """A flush by hand says what it is for, beside it or above."""
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr == "flush" and _is_session(node.value):
            above, line = ("", *source.lines)[node.lineno - 1 : node.lineno + 1]
            if "#" not in line and not above.strip().startswith("#"):
                yield f"{source.path}:{node.lineno} flushes without saying what for"


def _is_session(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "session"


def flask_in_the_domain(source: Source) -> Iterable[str]:
    if not source.path.startswith("portal/") or source.path.startswith("portal/web/"):
        return
    if source.name not in DOMAIN and not source.path.startswith("portal/core/"):
        return
    for node in source.nodes:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] in {"flask", "flask_login", "flask_wtf"} for name in names):
            yield f"{source.path}:{getattr(node, 'lineno', 0)} is domain code and imports Flask"


def busy_packages(source: Source) -> Iterable[str]:
    """A slice's `__init__.py` says what the slice owns, and does nothing."""
    if source.name != "__init__.py" or not source.path.startswith("portal/"):
        return
    body = ast.parse(source.text).body
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        yield f"{source.path} holds more or less than a docstring"


Rule = Callable[[Source], Iterable[str]]
BAD: dict[Rule, tuple[str, str]] = {
    commits: ("portal/keys/commands.py", "session.commit()"),
    long_functions: ("portal/keys/commands.py", "def long():\n" + "    pass\n" * 50),
    long_files: ("portal/keys/views.py", "pass\n" * 251),
    relative_imports: ("portal/keys/commands.py", "from .models import ApiKey"),
    todos: ("portal/keys/commands.py", "# TO" + "DO: later"),
    bare_flushes: ("portal/keys/commands.py", "x = 1\nsession.flush()"),
    flask_in_the_domain: ("portal/keys/queries.py", "from flask import g"),
    busy_packages: ("portal/keys/__init__.py", '"""Keys."""\nimport os'),
}


@pytest.mark.parametrize("rule", BAD, ids=lambda rule: rule.__name__)
def test_our_code_keeps_the_rule(rule: Rule):
    # Migrations are written by Alembic, and stay as they were released.
    ours = sources("portal", "plimsoll", "examples", "bench")

    found = [line for source in ours for line in rule(source)]

    assert not found, "\n".join(found)


@pytest.mark.parametrize("rule", BAD, ids=lambda rule: rule.__name__)
def test_the_rule_fires(rule: Rule):
    path, text = BAD[rule]

    assert list(rule(Source(path, text)))

"""What the documents say about the code is so."""

import re

import plimsoll
from tests.support.worlds import TOP


def text(name: str) -> str:
    return (TOP / name).read_text(encoding="utf-8")


def test_the_changelog_begins_with_the_version_of_the_code():
    first = re.search(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)

    assert first is not None
    assert first[1] == plimsoll.__version__


def test_contributing_stays_short():
    assert text("CONTRIBUTING.md").count("\n") <= 300


def test_every_file_that_the_documents_name_is_there():
    named = {
        path
        for name in ("README.md", "CONTRIBUTING.md")
        for path in re.findall(
            r"(?:portal|tests|static|examples)/[\w/.-]+\.\w+|\b[A-Z]+\.md", text(name)
        )
    }

    assert named
    assert [path for path in sorted(named) if not (TOP / path).exists()] == []


def test_every_dependency_has_its_reason():
    project = text("pyproject.toml")
    listed = re.findall(r"^    \"([a-z0-9-]+)[\[>]", project, re.MULTILINE)
    reasons = text("CONTRIBUTING.md").partition("## Dependencies")[2].partition("## Decisions")[0]

    missing = [
        name
        for name in listed
        if name not in reasons and not name.startswith("types-") and not name.startswith("pytest")
    ]

    assert missing == []

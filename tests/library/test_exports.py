"""What the library promises: its public names, and that importing it does nothing."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[2] / "plimsoll"

# Names in here are kept: applications build on them.
PUBLIC = {
    "plimsoll.gateway": {"Gateway", "SAVE_SECONDS"},
    "plimsoll.enforcer": {"Enforcer", "KEY_PREFIXES"},
    "plimsoll.decision": {
        "Change",
        "Code",
        "Decision",
        "Planned",
        "Reading",
        "Readings",
        "STATUSES",
    },
    "plimsoll.middleware.wsgi": {
        "ClientIp",
        "DECISION",
        "Describe",
        "Described",
        "GuardMiddleware",
        "Rejected",
        "USAGE",
        "Usage",
        "secret_of",
    },
    "plimsoll.service": {"Network", "create_app", "health", "metrics"},
    "plimsoll.testing": {"FakeKey", "FakePortal", "ManualClock", "Tamper"},
    "plimsoll.errors": {
        "DigestMismatch",
        "LogProblem",
        "PlimsollError",
        "ProtocolError",
        "StoreFromTheFuture",
        "StoreInUse",
        "StoreUnusable",
    },
    "plimsoll.cli": {"EXIT_FAILED", "EXIT_USAGE", "main", "read_token"},
    "plimsoll.verify": {"StepDone", "VerificationFailed", "verify"},
}


def defined_in(module: str) -> set[str]:
    """The public names that a module defines itself."""
    path = LIBRARY.parent / (module.replace(".", "/") + ".py")
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    # What a module passes on from another one it names itself.
    names |= set(getattr(importlib.import_module(module), "__all__", ()))
    return {name for name in names if not name.startswith("_") and name != "logger"}


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_the_exported_names_are_these(module: str) -> None:
    assert defined_in(module) == PUBLIC[module]


def test_importing_the_library_starts_nothing_and_logs_nothing() -> None:
    modules = ", ".join(sorted(PUBLIC))
    program = (
        f"import logging, threading; import {modules}; "
        "assert threading.active_count() == 1, threading.enumerate(); "
        "assert not logging.getLogger().handlers; "
        "assert not logging.getLogger('plimsoll').handlers"
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=LIBRARY.parent,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()


def test_a_restart_needs_neither_the_http_client_nor_the_signature_library() -> None:
    """Both take longer to load than a gateway may take to be ready."""
    program = (
        "import sys; from plimsoll.gateway import Gateway; "
        "assert not {'httpx2', 'cryptography'} & sys.modules.keys()"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=LIBRARY.parent, capture_output=True, check=False
    )

    assert done.returncode == 0, done.stderr.decode()

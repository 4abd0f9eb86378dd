"""Slices depend downwards, the library stands alone, the contract is pure: the contracts run here too."""

import subprocess
import sys

from tests.support.worlds import TOP

UPSIDE_DOWN = """
[importlinter]
root_packages =
    portal

[importlinter:contract:order]
name = upside down
type = layers
layers =
    portal.core
    portal.web
"""


def lint(*options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as run; run()",
    ]
    return subprocess.run(
        [*command, "--no-cache", *options], cwd=TOP, capture_output=True, text=True, check=False
    )


def test_every_contract_is_kept():
    done = lint()

    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_a_contract_that_is_broken_is_noticed(tmp_path):
    config = tmp_path / "upside-down.ini"
    config.write_text(UPSIDE_DOWN, encoding="utf-8")

    done = lint("--config", str(config))

    assert done.returncode == 1
    assert "1 broken" in done.stdout

"""`make bench`: all of them, one after the other. `python -m bench scale`, or names of modules: only these."""

import importlib
import sys

ALL = (
    "check",
    "shared",
    "fold",
    "revoke",
    "assign",
    "seal",
    "snapshot",
    "watchers",
    "gateways",
    "ingest",
    "usage_storage",
    "usage_page",
    "feedback",
)
# What the portal does for many gateways and keys, against the goals that it was given.
SCALE = ("seal", "gateways", "watchers", "snapshot", "snapshot_postgresql")


def main(names: list[str]) -> None:
    chosen = SCALE if names == ["scale"] else names or ALL
    for name in chosen:
        importlib.import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])

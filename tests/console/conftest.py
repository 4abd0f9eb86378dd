from tests.support.changes import publish, run

__all__ = ["publish", "run"]

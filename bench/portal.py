"""`python -m bench.portal DATA THREADS`: the portal on a free port, until standard input ends."""

import sys
from pathlib import Path

from portal.config import Settings
from portal.factory import create_app
from portal.serve import Server


def main() -> None:
    data, threads = Path(sys.argv[1]), int(sys.argv[2])
    settings = Settings(
        data=data,
        database_url=f"sqlite:///{data / 'portal.db'}",
        secret_key="bench",  # noqa: S106 -- of a portal that lives for seconds
        threads=threads,
    )
    server = Server(create_app(settings), host="127.0.0.1", port=0, threads=threads)
    server.start()
    print(server.port, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()

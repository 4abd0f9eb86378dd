"""The `plimsoll` command: `gateway` runs the check service, `verify` checks a portal's log."""

import argparse
import ipaddress
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from plimsoll.errors import PlimsollError
from plimsoll.gateway import Gateway

EXIT_FAILED = 1
EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; answers the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # One line per request to the portal would drown what matters.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        status: int = options.run(options)
    except (PlimsollError, OSError, ValueError) as error:
        print(f"plimsoll: {error}", file=sys.stderr)
        return EXIT_USAGE
    return status


def read_token(path: str | Path) -> str:
    """The gateway's token: the last line of a file, so that the output of enrolment will do.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is empty.
    """
    lines = Path(path).read_text(encoding="ascii", errors="replace").split()
    if not lines:
        raise ValueError(f"{path} holds no token")
    return lines[-1]


def _gateway(options: argparse.Namespace) -> int:
    from plimsoll.service import create_app
    from plimsoll.serving import parse_listen, serve_until_stopped

    host, port = parse_listen(options.listen)
    read_token(options.token_file)
    gateway = Gateway(
        options.state,
        portal_url=options.portal,
        # Read anew at each connection, so that a rotated token needs no restart.
        token=lambda: read_token(options.token_file),
        observe=options.observe,
        max_stale_seconds=options.max_stale,
        fingerprint=options.fingerprint,
        brand=options.brand,
        counters=options.counters,
    )
    if options.max_stale is None:
        logging.getLogger("plimsoll").warning(
            "without --max-stale this gateway decides from its copy for as long as the portal is"
            " away, however old the copy gets"
        )
    app = create_app(
        gateway, trusted_proxies=options.trusted_proxies, deny_status=options.deny_status
    )
    with gateway:
        serve_until_stopped(app, host=host, port=port)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from plimsoll.verify import VerificationFailed, verify
    from plimsoll.verify_state import default_folder

    keep_in = default_folder(os.environ)
    try:
        for step, text in verify(options.url, keep_in=keep_in, fingerprint=options.fingerprint):
            print(f"{step:<12} ok      {_printable(text)}")
    except VerificationFailed as failed:
        print(f"{failed.step:<12} failed  {_printable(failed.text)}")
        print(f"NOT VERIFIED: {options.url} failed at the step {failed.step}")
        return EXIT_FAILED
    print(f"VERIFIED: the limits at {options.url} are those of its signed log")
    return 0


def _printable(text: str) -> str:
    """What a stranger's log says, without what would steer the terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="plimsoll", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_gateway(commands.add_parser("gateway", help="run the check service"))
    _add_verify(commands.add_parser("verify", help="check a portal's log and published limits"))
    return parser


def _add_verify(verify: argparse.ArgumentParser) -> None:
    verify.set_defaults(run=_verify)
    verify.add_argument("url", metavar="URL", help="address of the portal")
    verify.add_argument("--fingerprint", metavar="SHA256", help="pin the log's key")


def _add_gateway(gateway: argparse.ArgumentParser) -> None:
    gateway.set_defaults(run=_gateway)
    add = gateway.add_argument
    add("--portal", required=True, metavar="URL", help="address of the portal")
    add("--token-file", required=True, metavar="FILE", help="file with this gateway's token")
    add("--state", required=True, metavar="DIR", help="folder for the copy of the state")
    add("--listen", required=True, metavar="HOST:PORT", help="where to answer")
    add("--fingerprint", metavar="SHA256", help="pin the log's key; printed at enrolment")
    add("--brand", default="plim", metavar="NAME", help="what API keys begin with (plim)")
    add("--counters", metavar="URL", help="count with other gateways in this Redis or Valkey")
    add("--max-stale", type=_seconds, metavar="S", help="refuse on state older than S seconds")
    add("--observe", action="store_true", help="decide and count, but let requests pass")
    add(
        "--deny-status",
        type=_status,
        metavar="N",
        help="answer what /check refuses with this status",
    )
    add(
        "--trusted-proxies",
        type=_networks,
        default=(),
        metavar="CIDR,…",
        help="believe X-Client-IP from these peers",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise ValueError(text)
    return seconds


def _status(text: str) -> int:
    status = int(text)
    if not 400 <= status <= 599:  # noqa: PLR2004 - HTTP's own bounds of an error
        raise ValueError(text)
    return status


def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(each.strip()) for each in text.split(","))


if __name__ == "__main__":
    sys.exit(main())

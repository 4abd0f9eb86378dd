"""The portal as a WSGI object, `app`, and its sync API alone, `sync`; run as a program, the whole product.

`python app.py`         portal, jobs, and the demo API in a process of its own
`python app.py portal`  the portal and its jobs
`python app.py api`     the demo API: it goes on deciding while the portal is away
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Flask

from portal.accounts.cli import make_admin
from portal.accounts.queries import find_user_by_email, has_admin
from portal.changelog.commands import publish_catalog
from portal.config import BadSettings, Settings, secrets_folder
from portal.core import clock
from portal.core.actor import CLI
from portal.core.db import transaction
from portal.core.errors import PortalError
from portal.core.jobs import Worker
from portal.factory import create_app, create_sync_app
from portal.serve import Server
from portal.sync.commands import add_gateway, rotate_token
from portal.sync.queries import find_gateway_by_token, list_gateways
from portal.tiers.queries import starting_tier
from portal.transparency.queries import policy
from portal.transparency.signer import log_transaction, sign_new
from portal.web.cli import jobs_of, migrate
from portal.web.session import session, sessions

TOP = Path(__file__).resolve().parent
SAMPLE = TOP / "examples/catalog/sample-2026.json"
DEMO = TOP / "examples/demo_api.py"
HOST = "127.0.0.1"
ADMIN = "admin@example.com"
GATEWAY = "demo"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
API_START_SECONDS = 15.0
API_STOP_SECONDS = 1.5


@cache
def _wsgi(name: str) -> Flask:
    try:
        return create_sync_app() if name == "sync" else create_app()
    except BadSettings as error:
        _say_why(error)
        raise SystemExit(2) from error


def __getattr__(name: str) -> Flask:
    # Made when asked for, so that importing this file does nothing.
    if name in {"app", "sync"}:
        return _wsgi(name)
    raise AttributeError(name)


@dataclass(frozen=True)
class Plan:
    """What runs where."""

    settings: Settings
    port: int
    api_port: int

    @property
    def token_file(self) -> Path:
        return secrets_folder(self.settings.data) / f"gateway-{GATEWAY}.token"

    @property
    def api_command(self) -> list[str]:
        return [
            sys.executable,
            str(DEMO),
            f"--portal={self.settings.url}",
            f"--token-file={self.token_file}",
            f"--state={self.settings.data / f'gateway-{GATEWAY}'}",
            f"--listen={HOST}:{self.api_port}",
        ]


def read_plan(environ: Mapping[str, str]) -> Plan:
    """The plan from PORT, API_PORT and PORTAL_*. Raises BadSettings."""
    port = _port(environ, "PORT", default=5000)
    api_port = _port(environ, "API_PORT", default=8100)
    defaults = {"PORTAL_API_URL": f"http://{HOST}:{api_port}"}
    if environ.get("PORTAL_ENV") != "production":
        # There the address has to be said: this machine's own would be wrong for everyone else.
        defaults["PORTAL_URL"] = f"http://{HOST}:{port}"
    return Plan(Settings.from_env({**defaults, **environ}), port, api_port)


def _port(environ: Mapping[str, str], name: str, *, default: int) -> int:
    text, ports_max = environ.get(name, str(default)), 65535
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= ports_max:
        raise BadSettings(f"{name} is a whole number from 1 to {ports_max}")
    return int(text)


def prepare(plan: Plan, app: Flask) -> None:
    """Bring the data up to date; at the first start publish, and enrol the demo API's gateway."""
    migrate(app)
    with app.app_context():
        sign_new(sessions(), plan.settings)
        if not policy(session(), clock.timestamp()).changes:
            with log_transaction(session(), sessions(), settings=plan.settings, actor=CLI):
                publish_catalog(session(), actor=CLI, data=SAMPLE.read_bytes())
        _enrol(plan)


def _enrol(plan: Plan) -> None:
    """See to it that the demo API's token is one that the portal knows."""
    kept = plan.token_file.read_text("ascii").strip() if plan.token_file.exists() else ""
    if find_gateway_by_token(session(), kept) is not None:
        return
    with transaction(session()):
        is_known = any(row.name == GATEWAY for row in list_gateways(session()))
        give_token = rotate_token if is_known else add_gateway
        token = give_token(session(), actor=CLI, name=GATEWAY, brand=plan.settings.brand)
    # Killed before this line, the next start finds no token that is known, and makes another.
    plan.token_file.touch(mode=0o600)
    plan.token_file.write_text(token + "\n", encoding="ascii")


def announce(plan: Plan, app: Flask) -> None:
    """Three lines to act on."""
    with app.app_context():
        at = clock.timestamp()
        tier = starting_tier(session()).slug
        model = min(model for slug, model in policy(session(), at).offers if slug == tier)
        print(f"Portal   {plan.settings.url}")
        print(f"Admin    {_how_to_sign_in(plan)}")
    print(
        f"API      curl {plan.settings.api_url}/v1/messages -H 'Authorization: Bearer YOUR_KEY'"
        " -H 'Content-Type: application/json'"
        f""" -d '{{"model": "{model}", "max_tokens": 100, """
        """"messages": [{"role": "user", "content": "Hello"}]}'""",
        flush=True,
    )


def _how_to_sign_in(plan: Plan) -> str:
    admin = find_user_by_email(session(), ADMIN)
    if has_admin(session()) and (admin is None or admin.password_hash):
        return f"{plan.settings.url}/login with the address and password of an admin"
    with transaction(session()):
        token = make_admin(ADMIN)
    return f"{plan.settings.url}/set-password/{token} lets you choose a password for {ADMIN}, once"


def run_portal(plan: Plan, *, with_api: bool) -> None:
    """The portal, its jobs, and the demo API if asked, until SIGINT, SIGTERM or SIGHUP."""
    app = create_app(plan.settings)
    if with_api:
        _must_be_free(plan.api_port, "API_PORT")
    _must_be_free(plan.port, "PORT")
    server = Server(app, host=HOST, port=plan.port, threads=plan.settings.threads)
    prepare(plan, app)
    worker = Worker(jobs_of(app), app.extensions["portal.sessions"])
    server.start()
    worker.start()
    try:
        with _demo_api(plan) if with_api else nullcontext():
            announce(plan, app)
            signal.pause()
    finally:
        server.stop()
        worker.close()


@contextmanager
def _demo_api(plan: Plan) -> Iterator[None]:
    # A session of its own: Ctrl-C in the terminal reaches it through us, once, and in order.
    process = subprocess.Popen(plan.api_command, start_new_session=True)
    ending = threading.Event()
    threading.Thread(target=_watch, args=(process, ending), daemon=True).start()
    try:
        _wait_for(process, plan.api_port)
        yield
    finally:
        ending.set()
        process.terminate()
        try:
            process.wait(API_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _watch(process: subprocess.Popen[bytes], ending: threading.Event) -> None:
    status = process.wait()
    if not ending.is_set():
        _say_why(f"the demo API has ended with status {status}; the portal goes on")


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    gives_up_at = time.monotonic() + API_START_SECONDS
    while time.monotonic() < gives_up_at and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.05)


def _end(number: int, frame: object) -> None:  # noqa: ARG001
    # Once is enough: a second Ctrl-C must not interrupt the clearing up.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _must_be_free(port: int, name: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BadSettings(
                f"port {port} is in use or not yours to open ({error.strerror});"
                f" stop what listens there, or set {name} to another"
            ) from error


def _say_why(reason: object) -> None:
    print(f"plimsoll: {reason}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["portal"], ["api"]):
        _say_why("usage: python app.py [portal | api]")
        return 2
    try:
        plan = read_plan(os.environ)
        if arguments == ["api"]:
            os.execv(sys.executable, plan.api_command)  # noqa: S606 -- our own program
        for number in SIGNALS:
            signal.signal(number, _end)
        with suppress(KeyboardInterrupt):
            run_portal(plan, with_api=not arguments)
    except BadSettings as error:
        _say_why(error)
        return 2
    except PortalError as error:
        # What the portal itself refuses: a log that is not being signed, a catalogue without a first tier.
        _say_why(" ".join(dict.fromkeys([error.public, str(error)])))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

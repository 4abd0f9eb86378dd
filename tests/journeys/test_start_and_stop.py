"""`python app.py`, as the person sees it who starts and stops it."""

import re
import socket
import subprocess
import sys

import httpx2
import pytest

from tests.support.product import Product
from tests.support.worlds import TOP

pytestmark = pytest.mark.processes


def failed_start(product: Product, *, status: int = 2, **environment: str) -> str:
    """What a start says that exits with `status`."""
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=TOP,
        env={**product.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == status, done.stderr
    return done.stderr


def test_three_lines_say_where_things_are_and_ctrl_c_ends_everything_within_seconds(product):
    started = product.launch()
    portal, admin, api = started.said

    assert portal.split() == ["Portal", product.url]
    assert re.search(rf"{product.url}/set-password/\S+ ", admin)
    assert f"curl {product.api_url}/v1/messages" in api
    assert httpx2.get(f"{product.url}/readyz").status_code == 200
    assert httpx2.get(f"{product.api_url}/").status_code == 200

    # 0.7 s where nothing else runs; another worker of the suite may hold the core meanwhile.
    assert started.press_ctrl_c() < 5
    assert started.process.returncode == 0
    for url in (product.url, product.api_url):
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(url)
    assert len(started.said) == 3, "the end is quiet"


def test_a_second_start_keeps_the_data_and_says_it_again(product):
    first = product.launch()
    log = httpx2.get(f"{product.url}/log/entries").content
    first.press_ctrl_c()

    second = product.launch()

    assert httpx2.get(f"{product.url}/log/entries").content == log
    assert log.count(b"\n") == 2
    assert second.said[0] == first.said[0]
    assert "/set-password/" in second.said[1], "nobody has set the password yet"


def test_a_token_that_the_portal_does_not_know_is_replaced_at_the_next_start(product):
    """As after a kill between the file and the commit, or with a database that began anew."""
    token = product.data / "secrets/gateway-demo.token"
    product.launch().press_ctrl_c()
    token.write_text("plimgw_of_another_time\n", encoding="ascii")

    product.launch()

    assert re.fullmatch(r"plimgw_[0-9A-Za-z]{36}\n", token.read_text("ascii"))
    bearer = {"Authorization": f"Bearer {token.read_text('ascii').strip()}", "Sync-Version": "1"}
    assert httpx2.get(f"{product.url}/sync/v1/state", headers=bearer).status_code == 200


def test_a_log_that_cannot_be_signed_stops_the_start_with_one_line(product):
    (product.data / "secrets").mkdir(parents=True)
    (product.data / "secrets/log.state").write_text("no state of ours\n", encoding="ascii")

    said = failed_start(product, status=1)

    assert said.startswith("plimsoll: The public log takes nothing at the moment.")
    assert "log.state" in said
    assert said.count("\n") == 1


def test_a_busy_port_is_named_and_nothing_is_written(product):
    with socket.create_server(("127.0.0.1", product.port)):
        said = failed_start(product)

    assert said.count("\n") == 1
    assert f"port {product.port} is in use" in said
    assert "PORT" in said
    assert not (product.data / "portal.db").exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORTAL_COLOUR", "red", "PORTAL_COLOUR"),
        ("PORTAL_THREADS", "many", "PORTAL_THREADS"),
        ("PORT", "the first", "PORT"),
        ("PORTAL_ENV", "production", "PORTAL_URL"),
    ],
)
def test_a_bad_setting_stops_the_start_with_one_line(product, name, value, words):
    said = failed_start(product, **{name: value})

    assert said.startswith("plimsoll: ")
    assert said.count("\n") == 1
    assert words in said


def test_the_commands_work_beside_the_running_product(product):
    product.launch()
    flask = [sys.executable, "-m", "flask", "--app", "app"]

    def said(*words: str) -> str:
        done = subprocess.run(
            [*flask, *words],
            cwd=TOP,
            env=product.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    assert "demo  connected" in said("gateways", "list")
    assert re.search(r"plimgw_\w{36}$", said("gateways", "add", "gw-2").strip())
    assert "/set-password/" in said("admin", "create", "grace@example.com")
    assert "agree with the tables" in said("sync", "check")
    assert "sign: 0" in said("jobs", "run")


def test_an_unknown_setting_stops_the_commands_too(product):
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "gateways", "list"],
        cwd=TOP,
        env={**product.environment, "PORTAL_COLOUR": "red"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert done.stderr == "plimsoll: unknown settings: PORTAL_COLOUR\n"

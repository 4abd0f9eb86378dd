import re
from dataclasses import replace

import pytest

from plimsoll.contract import tokens
from portal.core.anatomy import new_secret
from portal.factory import create_app
from tests.support.proxies import ENVOY_YAML, NGINX_CONF

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.mark.parametrize(
    "address", ["/docs", "/docs/gateway", "/docs/keys", "/docs/log", "/docs/operating"]
)
def test_the_docs_are_for_everyone(visit, address):
    assert visit.get(address).h1


def test_the_docs_name_this_portal_and_its_own_brand(settings, sessions):
    own = replace(settings, brand="acme", url="http://localhost:5001")
    client = create_app(own, sessions=sessions).test_client()

    assert "acme_live_" in client.get("/docs").text
    assert "plim_" not in client.get("/docs").text
    assert "--portal http://localhost:5001" in client.get("/docs/gateway").text


def test_the_docs_say_how_to_check_the_log_and_which_key_signs_it(visit, catalog, app):
    page = visit.get("/docs/log")

    assert "plimsoll verify http://127.0.0.1:5000" in page.text
    fingerprint = app.test_cli_runner().invoke(args=["log", "fingerprint"]).output.strip()
    assert fingerprint in page.text


@pytest.mark.usefixtures("cast")
def test_a_member_keeps_their_own_navigation_beside_the_docs(visit, client, cast):
    cast.sign_in(client, cast.ada)

    assert visit.get("/docs").link("API keys") == "/orgs/acme/keys"


def test_the_shape_of_keys_is_published_as_keys_are_made(visit, catalog):
    page = visit.get("/docs/keys")

    pattern = page.one("#key-pattern").get_text()
    secret = new_secret("plim_live_").text
    assert re.fullmatch(pattern, secret)
    named = r"checksum of (\S+) followed by (\S+) is (\w{6})"
    (prefix, body, checksum) = re.findall(named, page.text)[0]
    assert tokens.build(prefix, body) == prefix + body + checksum
    assert not re.search(pattern, page.html)  # or scanners would report the page itself


def test_the_docs_show_the_proxies_configurations_that_the_tests_run(visit, catalog):
    page = visit.get("/docs/gateway")

    assert page.one("#nginx-code").get_text() == NGINX_CONF.read_text(encoding="utf-8")
    assert page.one("#envoy-code").get_text() == ENVOY_YAML.read_text(encoding="utf-8")

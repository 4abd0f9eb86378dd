"""The gateway is the one that decides: with the portal away, and after a start without it."""

import shutil

import httpx2
import pytest

from portal.core.db import make_engine, make_sessions, transaction
from portal.keys.commands import revoke_key
from portal.keys.models import ApiKey
from tests.support.factories import actor_of, make_key, make_org, make_user
from tests.support.product import Product, eventually
from tests.support.worlds import register_records

pytestmark = pytest.mark.processes


class Backdoor:
    """Writes into the product's database as another process does, past the pages."""

    def __init__(self, product: Product) -> None:
        register_records()
        engine = make_engine(f"sqlite:///{product.data / 'portal.db'}")
        self.sessions = make_sessions(engine, strict=True)

    def issue_key(self) -> tuple[str, str]:
        with self.sessions() as session, transaction(session):
            owner = make_user(session)
            issued = make_key(session, org=make_org(session, owner=owner))
            self.owner = actor_of(owner)
        return issued.key.id, issued.secret.text

    def revoke(self, key_id: str) -> None:
        with self.sessions() as session, transaction(session):
            key = session.get_one(ApiKey, key_id)
            revoke_key(session, actor=self.owner, key=key, reason="The test says so.")


def test_the_gateway_goes_on_deciding_while_the_portal_is_away(product):
    portal = product.launch("portal")
    api = product.launch("api")
    door = Backdoor(product)
    key_id, key = door.issue_key()
    eventually(lambda: product.status(key) == 200)

    portal.kill()
    assert product.status(key) == 200
    assert product.call("plim_live_" + "0" * 36).json()["code"] == "key_malformed"
    assert product.call(key, words=400_000).status_code == 200
    refused = product.call(key, words=400_000)
    assert refused.json()["code"] == "limit_exceeded"

    # Started again with the portal away, it decides from its store, counters included.
    assert api.press_ctrl_c() < 2
    api = product.launch("api")
    assert product.status(key) == 200
    refused = product.call(key, words=400_000)
    assert refused.status_code == 429, "the counters are those of before"

    # What the portal decides meanwhile arrives when it is back.
    door.revoke(key_id)
    assert product.status(key) == 200
    product.launch("portal")
    eventually(lambda: product.call(key).json().get("code") == "key_revoked", seconds=40)


def test_a_gateway_without_its_store_is_not_ready_rather_than_open(product):
    portal = product.launch("portal")
    api = product.launch("api")
    _, key = Backdoor(product).issue_key()
    eventually(lambda: product.status(key) == 200)
    api.press_ctrl_c()
    portal.press_ctrl_c()
    shutil.rmtree(product.data / "gateway-demo")

    product.launch("api")
    refused = product.call(key)

    assert refused.status_code == 503
    assert refused.json()["code"] == "not_ready"
    assert httpx2.get(product.api_url).status_code == 200, "what is open stays open"

"""`GET /api/v1/me/limits` refuses whom a gate would refuse, with its codes and in its order."""

from datetime import timedelta

import pytest

from portal.core.actor import CLI
from portal.core.db import transaction
from portal.keys.models import ApiKey
from portal.orgs.commands import suspend_org
from portal.orgs.models import Org
from tests.support.factories import make_key

PATH = "/api/v1/me/limits"


@pytest.fixture
def made(sessions, cast, clock):
    """An issued key of Acme's, changed as a test wants it."""

    def make(**fields):
        with sessions() as session, transaction(session):
            issued = make_key(session, org=session.get_one(Org, cast.acme.id))
            key = session.get_one(ApiKey, issued.key.id)
            for name, value in fields.items():
                setattr(key, name, value)
            return issued.secret.text

    return make


@pytest.fixture
def code(client):
    def ask(secret):
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        answer = client.get(PATH, headers=headers)
        assert answer.content_type == "application/problem+json"
        return answer.status_code, answer.json["code"], answer.headers.get("WWW-Authenticate")

    return ask


def test_a_key_that_no_gate_takes_is_refused_as_there(code, made, clock):
    past = clock.at - timedelta(days=1)
    other = "plim_live_000000000000000000000000000000" + "0RsU3Z"

    assert code(None) == (401, "key_missing", "Bearer")
    assert code("plim_live_x") == (401, "key_malformed", "Bearer")
    assert code(other)[1] in {"key_malformed", "key_unknown"}
    assert code(made(revoked_at=past, paused_at=past)) == (401, "key_revoked", "Bearer")
    assert code(made(expires_at=past, paused_at=past)) == (401, "key_expired", "Bearer")
    assert code(made(paused_at=past)) == (403, "key_paused", None)
    assert code(made(networks=["203.0.113.0/24"])) == (403, "network_not_allowed", None)


@pytest.mark.parametrize(
    ("address", "status"),
    [("203.0.113.9", 200), ("::ffff:203.0.113.9", 200), ("203.0.114.9", 403), ("", 403)],
)
def test_a_key_with_networks_is_told_its_limits_there_alone(client, made, address, status):
    """An IPv4 caller seen through an IPv6 socket is still that caller, as at a gate."""
    secret = made(networks=["203.0.113.0/24"])

    answer = client.get(
        PATH, headers={"x-api-key": secret}, environ_overrides={"REMOTE_ADDR": address}
    )

    assert answer.status_code == status


def test_a_suspended_organisation_is_told_so(code, made, sessions, cast):
    secret = made(networks=["203.0.113.0/24"])
    with sessions() as session, transaction(session):
        suspend_org(session, actor=CLI, org=session.get_one(Org, cast.acme.id), reason="Abuse.")

    assert code(secret) == (403, "org_suspended", None)


def test_a_key_bound_to_a_model_is_told_its_limits_alone(client, made):
    answer = client.get(PATH, headers={"x-api-key": made(models=["opus-5"])})

    models = {row["limit"].split(".")[1] for row in answer.json["limits"]}
    assert models == {"opus-5", "all"}
    assert set(answer.json) == {"limits"}


def test_a_guesser_is_slowed_down(client, clock):
    headers = {"x-api-key": "plim_live_x"}

    statuses = [client.get(PATH, headers=headers).status_code for _ in range(61)]

    assert statuses[59:] == [401, 429]

import pytest
from sqlalchemy import text

from portal.core.db import transaction


def test_the_process_answers(client):
    answer = client.get("/healthz")

    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.usefixtures("catalog", "clock")
def test_it_is_ready_once_change_1_is_signed(client):
    assert client.get("/readyz").text == "ready\n"


def test_before_that_it_is_not(client):
    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert "no limits are published yet" in answer.text


@pytest.mark.usefixtures("catalog", "clock")
def test_a_database_that_is_not_migrated_is_not_ready(client, sessions):
    with sessions() as session, transaction(session):
        session.execute(text("UPDATE alembic_version SET version_num = 'older'"))

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert "not migrated" in answer.text


@pytest.mark.usefixtures("catalog", "clock")
def test_trouble_with_the_log_does_not_make_it_unready(client, sessions):
    from portal.transparency.models import LogHead

    with sessions() as session, transaction(session):
        session.get_one(LogHead, 1).trouble = "ahead"

    assert client.get("/readyz").status_code == 200


@pytest.mark.usefixtures("catalog", "clock")
def test_a_log_that_no_longer_verifies_does_not_make_it_unready(client, sessions):
    from portal.transparency.models import LogHead

    with sessions() as session, transaction(session):
        session.get_one(LogHead, 1).text = "no checkpoint"

    assert client.get("/limits").status_code == 503
    assert client.get("/readyz").status_code == 200


def test_a_database_that_is_gone_is_not_ready_and_no_reason_leaks(settings, tmp_path):
    from dataclasses import replace

    from portal.factory import create_app

    gone = replace(settings, database_url=f"sqlite:///{tmp_path}/nowhere/portal.db")

    answer = create_app(gone).test_client().get("/readyz")

    assert answer.status_code == 503
    assert answer.text == "not ready: the database does not answer\n"

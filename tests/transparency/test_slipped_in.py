import pytest

from plimsoll.contract import canonical
from portal.core.actor import CLI
from portal.core.db import transaction
from portal.sync.commands import rebuild
from tests.support.product import eventually


@pytest.fixture
def slipped_in(log, catalog):
    """A cut without notice, written into the table by somebody with the database's password."""
    first = canonical.decode(log.leaves()[1])
    row = next(row for row in first["body"]["rows"] if row["kind"] == "bucket")
    cut = row | {"from": row["to"], "to": {"quota": 1, "burst": 1}}
    nothing = {"models": [], "tiers": [], "offers": [], "counting": {"reserve": {}, "texts": {}}}
    at = first["at"] + 60
    more = {"change": 2, "id": f"{first['body']['id'][:-1]}0", "effective_at": at, "rows": [cut]}
    body = first["body"] | nothing | more
    text = canonical.encode({"at": at, "body": body, "kind": first["kind"], "seq": 2}).decode()
    log.by_sql(
        "INSERT INTO log_entries VALUES (2, :at, :kind, :text)",
        at=at,
        kind=first["kind"],
        text=text,
    )
    return row


def test_it_is_never_signed(log, clock, slipped_in):
    outcome = log.sign()

    assert outcome.size == 2
    assert "30 days' notice" in outcome.trouble


def test_no_page_shows_it(log, client, slipped_in):
    log.sign()

    limits = client.get("/limits.json").json["limits"]
    name = ("tier", "model", "metric", "period")
    shown = next(
        each for each in limits if [each[key] for key in name] == [slipped_in[key] for key in name]
    )
    assert (shown["quota"], shown["change"]) == (slipped_in["to"]["quota"], 1)
    assert len(client.get("/log/entries").data.splitlines()) == 2


def test_no_gateway_enforces_it_though_it_is_sent(log, sessions, slipped_in, follow):
    """A rebuild sends whatever stands in the table; beyond the checkpoint's size nothing is folded."""
    with sessions() as session, transaction(session):
        rebuild(session, actor=CLI)

    gateway = follow("gw-1").gateway

    book = gateway.replica.logbook
    assert eventually(lambda: book.size == 2, seconds=5)
    policy = book.policy(2**40)
    assert list(policy.changes) == [1]


@pytest.mark.parametrize("seq", [0, 1, 2])
def test_no_entry_is_updated_signed_or_not(log, slipped_in, seq):
    with pytest.raises(Exception, match="a log entry never changes"):
        log.by_sql("UPDATE log_entries SET text = text WHERE seq = :seq", seq=seq)


@pytest.mark.parametrize("seq", [0, 1])
def test_no_signed_entry_is_deleted(log, slipped_in, seq):
    with pytest.raises(Exception, match="a signed log entry is never deleted"):
        log.by_sql("DELETE FROM log_entries WHERE seq = :seq", seq=seq)

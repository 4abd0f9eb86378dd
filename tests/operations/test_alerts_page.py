import pytest

from portal.operations.advice import ADVICE

ALERTS = "/admin/alerts"


def test_with_nothing_wrong_the_page_says_so(as_root, watched):
    assert "All is well: nothing is open." in as_root.get(ALERTS).text


@pytest.mark.usefixtures("cast")
def test_each_open_alert_says_what_it_means_and_what_to_do(as_root, wire, watched, looking):
    wire.report(None, health={"link": "diverged"})
    looking()

    page = as_root.get(ALERTS)

    assert "1 alert is open." in page.text
    assert "Gateway diverged: gw-eu-1" in page.text
    assert "Run “sync check” on the portal" in page.text
    assert "1 person" in page.text


@pytest.mark.usefixtures("cast")
@pytest.mark.parametrize("address", ["/admin/orgs", "/admin/gateways"])
def test_the_staffs_front_page_and_the_gateways_lead_there(
    as_root, wire, watched, looking, address
):
    assert "open" not in as_root.get(address).h1
    assert not as_root.get(address).soup.select(".note[data-tone=error]")
    wire.report(None, health={"link": "diverged"})
    looking()

    page = as_root.get(address)

    assert "1 alert open" in page.text
    assert page.link("Gateway diverged: gw-eu-1") == f"{ALERTS}#gateway_diverged-1"


@pytest.mark.usefixtures("cast")
def test_what_is_over_is_listed(as_root, wire, watched, looking, clock):
    wire.report(None, health={"log": "log_forked"})
    looking()
    clock.advance(minutes=1)
    wire.report(None, health={"log": "ok"})
    looking()

    page = as_root.get(ALERTS)

    assert "All is well" in page.text
    row = page.table("What was, newest first").row("Log forked: gw-eu-1")
    assert row["To"] == "2026-11-02 12:02 UTC"


def test_what_has_not_lasted_is_not_shown(as_root, wire, watched, looking):
    wire.report(None, health={"spool": 9_000})
    looking()

    assert "All is well" in as_root.get(ALERTS).text


def test_jobs_that_do_not_run_are_said_though_no_job_can_say_it(as_root, watched, clock):
    clock.advance(minutes=3)

    page = as_root.get(ALERTS)

    assert "The jobs do not run" in page.text
    assert "jobs work" in page.text


def test_a_customer_finds_nothing(visit, client, cast):
    cast.sign_in(client, cast.ada)

    visit.get(ALERTS, status=404)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_docs_say_of_each_alert_what_to_do_and_of_each_metric_what_it_is(visit, catalog):
    page = visit.get("/docs/operating")

    assert {kind.value for kind in ADVICE} <= {each["id"] for each in page.soup.select("h3[id]")}
    assert page.table("What /metrics says").row("plimsoll_outbox_mails")["What it is"]

import pytest

from portal.core.db import transaction
from portal.orgs.models import Org
from portal.tiers.moves import TierDecision, decide_tier
from tests.support.wire import Copy

REQUESTS = "opus-5/requests/bucket/60"  # 1,000 on the starting tier


def page_of(key):
    return f"/orgs/acme/keys/{key.id}/caps"


@pytest.fixture
def capped(as_ada, key):
    as_ada.get(page_of(key)).form("cap").fill(limit=REQUESTS, quota="20").submit(
        redirect=page_of(key)
    )
    return key


def test_a_cap_is_set_replaced_and_removed_and_gateways_hear_of_each(
    wire, as_ada, both_ways, key, journal
):
    seen = []

    def hear():
        seen.append([cap["quota"] for cap in wire.pull(Copy()).of("key", key.id)["caps"]])

    for quota in ("20", "1,5"):
        form = (
            as_ada.get(page_of(key)).form("cap").fill(limit=REQUESTS, quota=quota.replace(",", ""))
        )
        page = form.submit(htmx=both_ways.is_htmx, redirect=page_of(key))
        hear()
    shown = as_ada.get(f"/orgs/acme/keys/{key.id}").facts["Caps"]
    page.form("Remove").submit(redirect=page_of(key))
    hear()

    assert shown == "Opus 5: 15 requests per minute (your limit: 1,000)"
    assert seen == [[20], [15], []]
    tags = [event.tag for event in journal() if event.subject_id == key.id][1:]
    assert tags == ["org:key:capped", "org:key:capped", "org:key:uncapped"]


def test_a_cap_that_has_no_effect_any_more_says_so(as_ada, sessions, cast, capped):
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        decision = TierDecision(tier="scale", reason="They grow.")
        decide_tier(session, actor=cast.root.actor, org=org, decision=decision)
    form = as_ada.get(page_of(capped)).form("cap").fill(limit=REQUESTS, quota="3000")
    form.submit(redirect=page_of(capped))
    with sessions() as session, transaction(session):
        org = session.get_one(Org, cast.acme.id)
        decision = TierDecision(tier="start", reason="They shrank.", for_abuse=True)
        decide_tier(session, actor=cast.root.actor, org=org, decision=decision)

    row = as_ada.get(page_of(capped)).table("The caps of Billing").rows[0]

    assert row["Effect"] == (
        "None as things stand. Your limit is 1,000 requests per minute, which is no more."
    )
    assert "no effect" in as_ada.get(f"/orgs/acme/keys/{capped.id}").facts["Caps"]


@pytest.mark.parametrize("act", ["", "/remove"])
def test_only_members_with_the_right_cap(turned_away, key, now, act):
    turned_away(page_of(key) + act, {"limit": REQUESTS, "quota": "1"}, asks=page_of(key))

    assert now().caps == []


BAD = [
    ("quota", {"quota": ""}, "whole number"),
    ("quota", {"quota": "-5"}, "whole number"),
    ("quota", {"quota": "1000"}, "Your limit is 1,000. A cap has to be lower."),
    ("limit", {"limit": "opus-5/requests/window/60"}, "choice"),
]


def test_bad_input_is_said_beside_its_field_and_nothing_is_capped(as_ada, both_ways, key, now):
    for field, values, said in BAD:
        form = as_ada.get(page_of(key)).form("cap").fill(limit=REQUESTS, quota="5").fill(values)

        page = form.submit(htmx=both_ways.is_htmx, status=422)

        assert said in page.errors[field]
    assert now().caps == []


def test_a_key_that_may_call_one_model_is_offered_its_limits_alone(as_ada, issue):
    key = issue(models=["opus-5"]).key

    options = as_ada.get(page_of(key)).soup.select("#limit option")

    assert {option["value"].split("/")[0] for option in options} <= {"opus-5", "*"}

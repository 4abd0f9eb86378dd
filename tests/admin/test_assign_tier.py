import pytest

pytestmark = pytest.mark.usefixtures("cast", "clock")

ADDRESS = "/admin/orgs/acme/tier"


def test_the_staff_moves_an_organisation_to_another_tier(as_root, both_ways, tier, record):
    form = as_root.get(ADDRESS).form("tier-form").fill(tier="build", reason="They grow.")

    page = form.submit(htmx=both_ways.is_htmx, redirect="/admin/orgs/acme")

    assert page.flash == "Acme is on Build now."
    assert page.table("Tiers so far").rows[0]["Reason"] == "They grow."
    assert tier() == "build"
    assert '"tier":"build"' in record()


def test_the_owners_are_told_with_the_reason(as_root, outbox, cast):
    as_root.get(ADDRESS).form("tier-form").fill(tier="build", reason="They grow.").submit(
        redirect="/admin/orgs/acme"
    )

    (mail,) = outbox()

    assert (mail.to, mail.subject) == (cast.ada.email, "Acme is now on Build")
    assert "They grow." in mail.text


def test_the_journal_says_from_where_to_where_and_why(as_root, journal, cast):
    as_root.get(ADDRESS).form("tier-form").fill(tier="build", reason="They grow.").submit(
        redirect="/admin/orgs/acme"
    )

    event = journal()[-1]

    assert (event.tag, event.actor_id, event.org_id) == (
        "org:tier:assigned",
        cast.root.user_id,
        cast.acme.id,
    )
    assert event.details == {
        "tier": "build",
        "before": "start",
        "reason": "They grow.",
        "kind": "manual",
    }


@pytest.mark.parametrize("who", ["ada", "ben", "dan"])
def test_to_everyone_but_the_staff_there_is_nothing_here(
    visit, client, cast, token, tier, journal, who
):
    cast.sign_in(client, getattr(cast, who))
    data = {"csrf_token": token(), "tier": "scale", "reason": "Mine."}
    before = len(journal())

    visit.get(ADDRESS, status=404)
    visit.post(ADDRESS, data=data, status=404)
    visit.post(ADDRESS, data={"csrf_token": data["csrf_token"]}, status=404)

    assert tier() == "start"
    assert len(journal()) == before


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("tier", {"tier": "start", "reason": "The same."}),
        ("tier", {"tier": "made-up", "reason": "None such."}),
        ("tier", {"reason": "None chosen."}),
        ("reason", {"tier": "build", "reason": ""}),
        ("reason", {"tier": "build", "reason": "  "}),
        ("reason", {"tier": "build", "reason": "x" * 501}),
        ("reason", {"tier": "build", "reason": "\u202egnp"}),
        ("reason", {"tier": "build", "reason": "a\x00b"}),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_bad_input_is_named_beside_its_field_and_changes_nothing(
    as_root, both_ways, tier, outbox, field, values
):
    form = as_root.get(ADDRESS).form("tier-form")

    page = form.fill(values).submit(htmx=both_ways.is_htmx, status=422)

    assert list(page.errors) == [field]
    assert tier() == "start"
    assert outbox() == []


def test_an_organisation_that_is_not_there_is_not_found(as_root, token):
    data = {"csrf_token": as_root.get(ADDRESS).form("tier-form").values["csrf_token"][0]}

    as_root.get("/admin/orgs/nobody/tier", status=404)
    as_root.post("/admin/orgs/nobody/tier", data=data, status=404)


def test_a_reason_may_have_lines_and_exactly_five_hundred_characters(as_root, acme, journal):
    reason = "First line.\r\n" + "x" * 488

    as_root.get(ADDRESS).form("tier-form").fill(tier="build", reason=reason).submit(
        redirect="/admin/orgs/acme"
    )

    assert journal()[-1].details["reason"] == reason.replace("\r\n", "\n")

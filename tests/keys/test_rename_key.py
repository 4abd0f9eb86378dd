PAGE = "/orgs/acme/keys/{}"


def ask(key):
    return f"/orgs/acme/keys/{key.id}/rename"


def test_a_key_is_renamed_and_the_journal_keeps_both_names(as_ada, both_ways, key, now, journal):
    form = as_ada.get(ask(key)).form("rename").fill(name="Invoices")

    page = form.submit(htmx=both_ways.is_htmx, redirect=PAGE.format(key.id))

    assert page.flash == "The key is called “Invoices” now."
    assert (page.h1, now().name_folded) == ("Invoices", "invoices")
    (event,) = [event for event in journal() if event.tag == "org:key:renamed"]
    assert (event.details["before"], event.details["name"]) == ("Billing", "Invoices")


def test_only_members_with_the_right_rename(turned_away, key, now):
    turned_away(ask(key), {"name": "Mine"})

    assert now().name == "Billing"


def test_bad_input_is_said_beside_the_field_and_nothing_is_renamed(
    as_ada, both_ways, issue, key, now
):
    issue(name="Other")
    form = as_ada.get(ask(key)).form("rename")

    for name, said in {"": "Enter a name.", "x" * 81: "1 to 80", "OTHER": "has this name"}.items():
        page = form.fill(name=name).submit(htmx=both_ways.is_htmx, status=422)

        assert said in page.errors["name"]
    assert now().name == "Billing"

"""An admin who opens a customer's key list leaves a line that the customer reads."""

from portal.core.db import transaction
from portal.orgs.models import Org
from tests.support.factories import make_key


def test_the_customer_sees_who_of_the_staff_looked_at_their_keys(visit, client, cast, sessions):
    with sessions() as session, transaction(session):
        make_key(session, org=session.get_one(Org, cast.acme.id), name="Billing")
    cast.sign_in(client, cast.root)

    seen = visit.get("/admin/orgs/acme/keys")

    assert seen.table("The keys of Acme").row("Billing")
    cast.sign_in(client, cast.ada)
    row = visit.get("/orgs/acme/journal", kind="staff").table("Acts, newest first").rows[0]
    assert row["What"] == "List of keys opened"
    assert row["Who"].startswith("root@example.com")


def test_there_is_no_such_list_for_others(visit, client, cast):
    cast.sign_in(client, cast.ada)

    visit.get("/admin/orgs/acme/keys", status=404)

import pytest

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.mark.parametrize("address", ["/docs", "/docs/gateway"])
def test_the_docs_are_for_everyone(visit, address):
    assert visit.get(address).h1


@pytest.mark.usefixtures("cast")
def test_a_member_keeps_their_own_navigation_beside_the_docs(visit, client, cast):
    cast.sign_in(client, cast.ada)

    assert visit.get("/docs").link("API keys") == "/orgs/acme/keys"

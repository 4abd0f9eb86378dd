import pytest

from portal.core.clock import now

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def run(app):
    return app.test_cli_runner()


def path(output):
    return output.strip().splitlines()[-1].removeprefix("http://127.0.0.1:5000")


def test_the_command_makes_an_admin_and_prints_a_link(run, visit, client, person):
    done = run.invoke(args=["admin", "create", "new@example.com"])

    assert done.exit_code == 0, done.output
    assert person("new@example.com").is_admin
    form = visit.get(path(done.output)).form("set-password").fill(password="a staff password")
    client.post(form.action, data=form.values)
    assert visit.get("/", redirect="/admin/orgs").h1 == "Organisations"


def test_a_member_can_become_an_admin_too(run, person, cast):
    run.invoke(args=["admin", "create", cast.ben.email])

    assert person(cast.ben.email).is_admin


def test_the_operator_vouches_for_the_address(run, person):
    run.invoke(args=["admin", "create", "root@localhost"])

    assert person("root@localhost").email_confirmed_at == now()


def test_who_signed_up_with_the_address_before_but_never_confirmed_it_gains_nothing(
    run, sign_up, visit, client, person, cast
):
    """Otherwise a stranger who guesses the address of the staff to come would be staff, too."""
    sign_up(email="root@localhost")
    form = visit.get("/login").form("sign-in")
    form.fill(email="root@localhost", password="a long enough one").submit(redirect="/")

    run.invoke(args=["admin", "create", "root@localhost"])

    assert client.get("/admin/orgs").status_code == 303
    assert person("root@localhost").password_hash is None


def test_what_is_no_address_is_refused(run, journal):
    done = run.invoke(args=["admin", "create", "root"])

    assert done.exit_code == 2
    assert "e-mail address" in done.output
    assert journal() == []

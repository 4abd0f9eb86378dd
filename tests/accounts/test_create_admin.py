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


def test_what_is_no_address_is_refused(run, journal):
    done = run.invoke(args=["admin", "create", "root"])

    assert done.exit_code == 2
    assert "e-mail address" in done.output
    assert journal() == []

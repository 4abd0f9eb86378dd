from portal.core.actor import CLI
from portal.core.db import transaction
from portal.sync.commands import rebuild
from tests.support.product import eventually
from tests.transparency.conftest import Log
from tests.transparency.publisher import publish


def test_a_gateway_that_was_sent_a_refused_entry_takes_what_is_published_in_its_place(
    app, sessions, settings, catalog, follow
):
    """Entry 2 goes out to the gateway, is discarded, and then is another one."""
    Log(sessions, settings).slip_in_a_change()
    with sessions() as session, transaction(session):
        rebuild(session, actor=CLI)
    book = follow("gw-1").gateway.replica.logbook
    assert eventually(lambda: book.size == 2, seconds=5)

    done = app.test_cli_runner().invoke(args=["log", "discard"])
    assert done.exit_code == 0, done.output
    assert publish(sessions, settings, 7) == 2

    assert eventually(lambda: book.size == 3, seconds=10)
    assert ("build", "model-7") in book.policy(2**40).offers

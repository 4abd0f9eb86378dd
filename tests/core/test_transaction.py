from portal.core.actor import CLI
from portal.core.db import Sessions, transaction
from portal.journal.commands import record
from portal.journal.models import Event


def test_what_a_transaction_wrote_is_there_for_the_next_session(sessions: Sessions):
    with sessions() as session, transaction(session):
        record(session, CLI, "test:happened")

    with sessions() as session:
        assert session.query(Event).count() == 1

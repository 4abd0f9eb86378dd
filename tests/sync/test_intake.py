"""Many who ask at once are answered together, and none answers for another."""

import threading

from sqlalchemy.exc import OperationalError

from portal.sync.intake import Together
from tests.support.product import eventually

ASKED = [1, 2, 0, 4]


class Desk:
    """Divides by what it is asked; the first is held up until all others have come."""

    def __init__(self, error=None):
        self.served = []
        self._error = error
        self._has_begun, self._go_on = threading.Event(), threading.Event()
        self.together = Together(self._serve)

    def _serve(self, asked):
        self.served.append(asked)
        self._has_begun.set()
        self._go_on.wait(10)
        if self._error and len(self.served) > 1:
            raise self._error
        return [12 // each for each in asked]

    def ask_all(self):
        """What each was told, while another was being served."""
        told = {}

        def ask(number):
            try:
                told[number] = self.together.ask(number)
            except Exception as error:  # noqa: BLE001 -- it is what was told
                told[number] = type(error)

        threads = [threading.Thread(target=ask, args=(each,)) for each in [12, *ASKED]]
        threads[0].start()
        self._has_begun.wait(10)
        for each in threads[1:]:
            each.start()
        eventually(lambda: len(self.together._queue) == len(ASKED))
        self._go_on.set()
        for each in threads:
            each.join(10)
        return told


def test_who_comes_meanwhile_is_served_with_the_next_and_only_a_fault_of_ones_own_is_told():
    desk = Desk()

    told = desk.ask_all()

    assert told == {12: 1, 1: 12, 2: 6, 0: ZeroDivisionError, 4: 3}
    assert sorted(desk.served[1]) == sorted(ASKED)


def test_a_database_that_is_away_is_asked_once_for_all():
    desk = Desk(OperationalError("SELECT", {}, Exception("gone")))

    told = desk.ask_all()

    assert {told[each] for each in ASKED} == {OperationalError}
    assert len(desk.served) == 2

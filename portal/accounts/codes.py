"""How often codes may be tried: by person, wherever from, at sign-in and wherever else one is asked for."""

from portal.accounts import mails
from portal.accounts.queries import get_user
from portal.core import clock
from portal.core.db import transaction
from portal.core.errors import TooMany
from portal.core.outbox import queue_mail
from portal.web import throttle
from portal.web.session import session

RATE = "second_factor"


def take_try(user_id: str) -> None:
    """Count one try. Raises TooMany, and then the person hears of it: somebody is near to getting in."""
    try:
        throttle.take(RATE, user_id)
    except TooMany:
        _tell(user_id)
        raise


def give_back(user_id: str) -> None:
    throttle.give_back(RATE, user_id)


def _tell(user_id: str) -> None:
    window = clock.timestamp() // throttle.RATES[RATE].seconds
    with transaction(session()):
        user = get_user(session(), user_id)
        # One mail a window, however many tries: the outbox keeps each event once.
        event = f"codes_guessed:{window}"
        queue_mail(session(), mails.codes_guessed(to=user.email), event=event, person=user_id)

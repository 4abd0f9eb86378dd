from typing import Any

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor
from portal.accounts.queries import get_user
from portal.changelog import subscribers, subscriptions
from portal.changelog.subscription_forms import SubscribeForm
from portal.core import clock
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.tiers.queries import list_tiers
from portal.transparency.queries import policy
from portal.web import responses
from portal.web.public import public
from portal.web.security import csrf
from portal.web.session import session, settings

bp = Blueprint("subscriptions", __name__, url_prefix="/changelog")

PAGE = "changelog/subscriptions.html"
FRAGMENT = "changelog/_subscriptions.html"


@bp.get("/subscriptions")
def own() -> Response:
    return responses.page(PAGE, fragment=FRAGMENT, **_own(SubscribeForm()))


@bp.post("/subscriptions")
def subscribe() -> Response:
    form, actor = SubscribeForm(), current_actor()
    if not form.validate():
        return responses.invalid(PAGE, fragment=FRAGMENT, **_own(form))
    try:
        with transaction(session()):
            user = get_user(session(), actor.user_id)
            made = subscriptions.subscribe(session(), actor=actor, user=user, tier=form.asked())
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field="tier")
        return responses.invalid(PAGE, fragment=FRAGMENT, **_own(form))
    to = url_for("subscriptions.own")
    message = f"You are mailed changes of {_named([made.tier])[0]}."
    return responses.done(to, message=message, fragment=FRAGMENT, **_own(SubscribeForm(None)))


@bp.post("/subscriptions/<subscription>/end")
def end(subscription: str) -> Response:
    actor = current_actor()
    with transaction(session()):
        found = subscribers.get_subscription(
            session(), user_id=actor.user_id or "", subscription_id=subscription
        )
        subscriptions.end(session(), actor=actor, subscriptions=[found])
    to = url_for("subscriptions.own")
    message = f"You are no longer mailed changes of {_named([found.tier])[0]}."
    return responses.done(to, message=message, fragment=FRAGMENT, **_own(SubscribeForm(None)))


@bp.get("/unsubscribe/<token>")
@public
def confirm_unsubscribe(token: str) -> Response:
    """A link in a mail only asks: programs that look at links before people do end nothing."""
    found = subscribers.get_by_token(session(), token, key=settings().secret_key)
    return _unsubscribe_page(token, [each for each in found if each.ended_at is None])


@bp.post("/unsubscribe/<token>")
@public
def unsubscribe(token: str) -> Response:
    """It answers by itself and never redirects, since mail programs do not follow (RFC 8058, section 3.1)."""
    with transaction(session()):
        found = subscribers.get_by_token(
            session(), token, key=settings().secret_key, for_update=True
        )
        subscriptions.end(session(), actor=current_actor(), subscriptions=found)
    return _unsubscribe_page(token, [])


# A mail program sends this POST by itself, without a page, a cookie or a token of ours (RFC 8058,
# section 3.2). The address is the proof: nobody can make one up, and it can do nothing else.
csrf.exempt(unsubscribe)


def _unsubscribe_page(token: str, live: list[Any]) -> Response:
    return responses.page(
        "changelog/unsubscribe.html",
        fragment="changelog/_unsubscribe.html",
        token=token,
        names=_named([each.tier for each in live]),
    )


def _own(form: SubscribeForm) -> dict[str, Any]:
    """What the page of one's own subscriptions shows."""
    live = subscribers.list_subscriptions(session(), current_actor().user_id or "")
    taken = {each.tier for each in live}
    tiers = [] if None in taken else list_tiers(session())
    form.offer((tier.slug, tier.name) for tier in tiers if tier.slug not in taken)
    names = _named([each.tier for each in live])
    return {"form": form, "live": list(zip(live, names, strict=True)), "has_all": None in taken}


def _named(tiers: list[str | None]) -> list[str]:
    known = policy(session(), clock.timestamp()).tiers
    return [
        "every tier" if tier is None else known[tier].name if tier in known else tier
        for tier in tiers
    ]

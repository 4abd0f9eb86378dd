from typing import Any

from flask import Blueprint, Response, url_for

from portal.accounts import login, second_factor, set_up, totp
from portal.accounts.confirm import ProofForm
from portal.accounts.errors import FactorIsOff, WrongCode
from portal.accounts.forms import TurnOnForm
from portal.accounts.login import SignedIn, current_actor, viewer
from portal.accounts.queries import count_recovery_codes, find_factor, get_user
from portal.core.db import transaction
from portal.core.errors import NotFound
from portal.web import responses
from portal.web.session import session, settings

bp = Blueprint("second_factor", __name__, url_prefix="/account")

TOO_LATE = (
    "The secret on the page was too old. Here is a new one: scan this, then type its first code."
)


@bp.get("")
def account() -> Response:
    return responses.page("accounts/account.html", **_state())


@bp.get("/second-factor")
def factor() -> Response:
    person = _person()
    if person.has_second_factor or not person.is_confirmed:
        return responses.page("accounts/second_factor.html", **_state())
    shown = _new_set_up(person)
    form = TurnOnForm(sealed=shown.sealed)
    return responses.page("accounts/set_up.html", form=form, set_up=shown)


@bp.post("/second-factor")
def turn_on() -> Response:
    form, person = TurnOnForm(), _person()
    form.prove()
    key = settings().secret_key
    secret = set_up.read(form.sealed.data, user_id=person.user_id, key=key)
    if secret is None:
        form.refuse(TOO_LATE)
        return _set_up_again(form, _new_set_up(person))
    shown = set_up.show(secret, sealed=form.sealed.data, email=person.email)
    try:
        with transaction(session()):
            user = get_user(session(), person.user_id)
            if not form.validate():
                return _set_up_again(form, shown)
            codes = second_factor.turn_on(
                session(),
                actor=current_actor(),
                user=user,
                secret=secret,
                code=form.code.data,
                key=key,
            )
            login.stay(user)
    except WrongCode as error:
        form.refuse(error.public, field=error.field)
        return _set_up_again(form, shown)
    return _show_codes(codes, title="Your second factor is on")


@bp.get("/second-factor/off")
def confirm_turn_off() -> Response:
    _must_be_on()
    return responses.page(
        "accounts/turn_off.html", fragment="accounts/_turn_off_question.html", form=ProofForm()
    )


@bp.post("/second-factor/off")
def turn_off() -> Response:
    form, person = ProofForm(), _person()
    form.prove()
    with transaction(session()):
        user = get_user(session(), person.user_id)
        if not form.validate():
            return responses.invalid(
                "accounts/turn_off.html", fragment="accounts/_turn_off_form.html", form=form
            )
        second_factor.turn_off(session(), actor=current_actor(), user=user)
    return responses.done(url_for("second_factor.factor"), message="Your second factor is off.")


@bp.get("/second-factor/codes")
def new_codes() -> Response:
    _must_be_on()
    return responses.page("accounts/new_codes.html", form=ProofForm())


@bp.post("/second-factor/codes")
def renew_codes() -> Response:
    form, person = ProofForm(), _person()
    form.prove()
    with transaction(session()):
        user = get_user(session(), person.user_id)
        if not form.validate():
            return responses.invalid(
                "accounts/new_codes.html", fragment="accounts/_new_codes.html", form=form
            )
        codes = second_factor.renew_codes(session(), actor=current_actor(), user=user)
    return _show_codes(codes, title="Your new recovery codes")


def _person() -> SignedIn:
    person = viewer()
    if person is None:  # the guard lets nobody else come here
        raise NotFound
    return person


def _must_be_on() -> None:
    if not _person().has_second_factor:
        raise FactorIsOff


def _state() -> dict[str, Any]:
    user_id = _person().user_id
    found = find_factor(session(), user_id)
    return {"factor": found, "codes_left": count_recovery_codes(session(), user_id)}


def _new_set_up(person: SignedIn) -> set_up.SetUp:
    key = settings().secret_key
    return set_up.begin(user_id=person.user_id, email=person.email, key=key)


def _set_up_again(form: TurnOnForm, shown: set_up.SetUp) -> Response:
    form.sealed.data = shown.sealed
    return responses.invalid(
        "accounts/set_up.html", fragment="accounts/_set_up.html", form=form, set_up=shown
    )


def _show_codes(codes: tuple[str, ...], *, title: str) -> Response:
    return responses.secret(
        "accounts/recovery_codes.html",
        fragment="accounts/_recovery_codes.html",
        title=title,
        codes=[totp.grouped(code) for code in codes],
    )

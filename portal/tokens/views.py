"""A person's own tokens."""

from flask import Blueprint, Response, url_for

from portal.accounts.login import current_actor, signed_in
from portal.accounts.queries import get_user
from portal.core import clock
from portal.core.db import transaction
from portal.core.errors import Invalid
from portal.tokens import commands, queries
from portal.tokens.forms import IssueTokenForm, RevokeTokenForm
from portal.web import responses
from portal.web.session import session, settings

bp = Blueprint("tokens", __name__, url_prefix="/account/tokens")


@bp.get("")
def tokens() -> Response:
    rows = queries.list_tokens_of_user(session(), signed_in().user_id)
    return responses.page("tokens/index.html", tokens=rows, now=clock.now())


@bp.get("/new")
def new_token() -> Response:
    return responses.page("tokens/new.html", form=IssueTokenForm.fresh(), action=url_for(".tokens"))


@bp.post("")
def issue_token() -> Response:
    form, actor = IssueTokenForm(), current_actor()
    form.prove()
    if not form.validate():
        return _again(form)
    try:
        with transaction(session()):
            issued = commands.issue_personal_token(
                session(),
                actor=actor,
                user=get_user(session(), signed_in().user_id),
                brand=settings().brand,
                request=form.asked(),
            )
    except Invalid as error:
        form.refuse(error.public, field=error.field)
        return _again(form)
    return responses.secret(
        "tokens/issued.html",
        fragment="tokens/_issued.html",
        issued=issued,
        portal_url=settings().url,
        back=url_for(".tokens"),
    )


@bp.get("/<token>/revoke")
def confirm_revoke(token: str) -> Response:
    row = queries.get_token_of_user(session(), signed_in().user_id, token)
    return responses.page(
        "tokens/revoke.html",
        fragment="tokens/_revoke_question.html",
        token=row,
        form=RevokeTokenForm(),
        action=url_for(".revoke_token", token=row.id),
        back=url_for(".tokens"),
    )


@bp.post("/<token>/revoke")
def revoke_token(token: str) -> Response:
    with transaction(session()):
        row = queries.get_token_of_user(session(), signed_in().user_id, token, for_update=True)
        commands.revoke_personal_token(session(), actor=current_actor(), token=row)
    return responses.done(url_for(".tokens"), message=f"“{row.name}” is revoked.")


def _again(form: IssueTokenForm) -> Response:
    return responses.invalid(
        "tokens/new.html", fragment="tokens/_new_form.html", form=form, action=url_for(".tokens")
    )

"""The board: its list, what is one's own, a thread, and opening one."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, request, url_for

from portal.accounts.login import current_actor
from portal.core.db import transaction
from portal.core.errors import Conflict, Invalid
from portal.core.paging import Page
from portal.feedback import commands
from portal.feedback.commands import Opening
from portal.feedback.forms import ListForm, OpenThreadForm, ReplyForm, TitleForm
from portal.feedback.listing import MINE, Asked, Line, list_mine, list_similar, list_threads
from portal.feedback.models import Category, Kind, State, Visibility
from portal.feedback.pace import count
from portal.feedback.queries import (
    cursor_to,
    find_post,
    get_thread,
    get_voice,
    list_voices,
    may_open,
)
from portal.feedback.shown import get_thread_page, names_in_force, show_post
from portal.web import responses
from portal.web.public import public
from portal.web.session import session

bp = Blueprint("feedback", __name__)

ASKED = {"q", "state", "kind", "category", "change", "sort", "show"}
LIST, LIST_PART = "feedback/threads.html", "feedback/_list.html"
NEW, NEW_PART = "feedback/new_thread.html", "feedback/_new_thread_form.html"
# Above any number of threads, below what an integer column takes.
NUMBER = "<int(max=999999999):number>"


@bp.get("/feedback")
@public
def threads() -> Response:
    form, actor = ListForm(request.args), current_actor()
    asked = _asked(form) if form.validate() else Asked()
    try:
        page = list_threads(session(), actor, asked=asked, cursor=request.args.get("page"))
    except Invalid as error:
        form.refuse(error.public, field=error.field or "q")
        page = list_threads(session(), actor, asked=Asked())
    answer = responses.invalid if form.errors else responses.page
    return answer(LIST, fragment=LIST_PART, form=form, asked=asked, **_pages(page))


@bp.get("/feedback/mine")
def mine() -> Response:
    show = request.args.get("show", "threads")
    show = show if show in MINE else "threads"
    page = list_mine(session(), current_actor(), show=show, cursor=request.args.get("page"))
    tabs = {name: label for name, (label, _) in MINE.items()}
    return responses.page("feedback/mine.html", show=show, tabs=tabs, **_pages(page))


def _asked(form: ListForm) -> Asked:
    return Asked(
        search=form.q.data or "",
        state=State(form.state.data) if form.state.data else None,
        kind=Kind(form.kind.data) if form.kind.data else None,
        category=Category(form.category.data) if form.category.data else None,
        change=form.change.data,
        sort=form.sort.data,
    )


def _pages(page: Page[Line]) -> dict[str, Any]:
    """A page of a list, with the addresses of those around it: what is asked for stays in them."""
    asked = {name: value for name, value in request.args.items() if name in ASKED and value}

    def at(cursor: str | None) -> str | None:
        return f"{request.path}?{urlencode({**asked, 'page': cursor})}" if cursor else None

    return {
        "lines": page.items,
        "newer": at(page.before),
        "older": at(page.after),
        "may_open": may_open(session(), current_actor()),
    }


@bp.get("/feedback/new")
def new_thread() -> Response:
    """First the title, and what is similar to it; with a title, the form."""
    get_voice(session(), current_actor())
    title_form = TitleForm(request.args)
    is_valid = title_form.validate()
    title = title_form.title.data if is_valid else ""
    form = _form(formdata=None, data={"title": title, **_about()}) if title else None
    answer = responses.page if is_valid else responses.invalid
    values: dict[str, Any] = {"title_form": title_form, "similar": _similar(title), "form": form}
    return answer(NEW, fragment="feedback/_similar.html", **values)


def _similar(title: str | None) -> list[Line]:
    return list_similar(session(), current_actor(), title) if title else []


def _about() -> dict[str, Any]:
    """What a link to the form may say already, such as the change that is replied to."""
    change = request.args.get("change", type=int)
    return {"change": change, "kind": Kind.REPLY.value} if change else {}


def _form(**given: Any) -> OpenThreadForm:
    actor = current_actor()
    orgs = [] if actor.is_admin else list_voices(session(), actor)
    tiers, models = names_in_force(session())
    return OpenThreadForm(**given).offer(
        orgs=[(org.id, org.name) for org in orgs], tiers=tiers.items(), models=models.items()
    )


@bp.post("/feedback")
def open_thread() -> Response:
    actor = current_actor()
    get_voice(session(), actor)
    form = _form()
    if not form.validate():
        return _refused(form)
    count("feedback_thread")
    try:
        with transaction(session()):
            thread = commands.open_thread(session(), actor=actor, opening=_opening(form))
    except (Invalid, Conflict) as error:
        form.refuse(error.public, field=getattr(error, "field", None))
        return _refused(form)
    to = url_for("feedback.thread", number=thread.number)
    return responses.done(to, message="Your thread is open.")


def _refused(form: OpenThreadForm) -> Response:
    values = {"title_form": TitleForm(data={"title": form.title.data}), "form": form}
    return responses.invalid(NEW, fragment=NEW_PART, similar=_similar(form.title.data), **values)


def _opening(form: OpenThreadForm) -> Opening:
    is_private = "visibility" in form and form.visibility.data == Visibility.PRIVATE.value
    return Opening(
        kind=Kind(form.kind.data),
        title=form.title.data,
        text=form.text.data,
        category=Category(form.category.data),
        visibility=Visibility.PRIVATE if is_private else Visibility.PUBLIC,
        org_id=form.org.data if "org" in form else None,
        change=form.change.data,
        tier=form.tier.data or None,
        model=form.model.data or None,
    )


@bp.get(f"/feedback/{NUMBER}")
@public
def thread(number: int) -> Response:
    return show_thread(responses.page, number)


def show_thread(
    answer: Callable[..., Response], number: int, *, form: ReplyForm | None = None
) -> Response:
    """The page of a thread, also with a reply that was refused."""
    actor = current_actor()
    found = get_thread(session(), actor, number)
    at_post = find_post(session(), found, request.args.get("post", ""))
    cursor = cursor_to(session(), found, at_post) if at_post else request.args.get("page")
    page = get_thread_page(session(), actor, found, cursor=cursor)
    answering = find_post(session(), found, request.args.get("answers") or _named(form))
    shown = answering and show_post(session(), actor, thread=found, post=answering)
    if form is None:
        form = ReplyForm(data={"answers": answering.id if answering else ""})
    at = {
        "newer": page.posts.before
        and url_for("feedback.thread", number=number, page=page.posts.before),
        "older": page.posts.after
        and url_for("feedback.thread", number=number, page=page.posts.after),
    }
    values = {"page": page, "form": form, "answering": shown, "number": number, **at}
    return answer("feedback/thread.html", fragment="feedback/_reply_form.html", **values)


def _named(form: ReplyForm | None) -> str:
    return (form.answers.data or "") if form is not None else ""

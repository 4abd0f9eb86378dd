from typing import Any

from flask import Blueprint, Response, request, url_for

from portal.accounts.login import current_actor, viewer
from portal.changelog import reading
from portal.changelog.change_list import (
    ChangeList,
    Filter,
    get_change_list,
    get_choices,
    get_reader,
)
from portal.changelog.forms import FilterForm, MarkReadForm
from portal.changelog.news_page import get_news_page
from portal.changelog.notice_page import get_notice_page
from portal.core.db import transaction
from portal.web import responses
from portal.web.public import public
from portal.web.session import session

bp = Blueprint("changelog", __name__)

PAGE = "changelog/changes.html"
FRAGMENT = "changelog/_list.html"
PAGES_MAX = 10**6
FILTERS = {"tier", "model", "direction", "when"}


@bp.get("/changelog")
@public
def changes() -> Response:
    form = _filter_form()
    is_valid = form.validate()
    answer = responses.page if is_valid else responses.invalid
    asked = _asked(form) if is_valid else Filter()
    return answer(PAGE, fragment=FRAGMENT, form=form, **_list(asked))


@bp.post("/changelog/read")
def mark_read() -> Response:
    form = MarkReadForm()
    if not form.validate():
        values = {"form": _filter_form(), **_list(Filter()), "mark_errors": form.errors}
        return responses.invalid(PAGE, fragment=FRAGMENT, **values)
    with transaction(session()):
        reading.mark_read(
            session(), user_id=current_actor().user_id or "", until=int(form.until.data)
        )
    values = {"form": _filter_form(), **_list(Filter())}
    to = url_for("changelog.changes")
    return responses.done(to, message="All is marked as read.", fragment=FRAGMENT, **values)


@bp.get("/changelog/ann_<announcement>")
@public
def announcement(announcement: str) -> Response:
    return responses.page(
        "changelog/news.html", page=get_news_page(session(), f"ann_{announcement}")
    )


@bp.get("/changelog/notice")
@public
def notice() -> Response:
    return responses.page("changelog/notice.html", page=get_notice_page(session()))


def _filter_form() -> FilterForm:
    choices = get_choices(session())
    return FilterForm(request.args).offer(tiers=choices.tiers, models=choices.models)


def _asked(form: FilterForm) -> Filter:
    return Filter(
        tiers=tuple(form.tier.data or ()),
        model=form.model.data or "",
        direction=form.direction.data or "",
        is_upcoming=form.when.data == "upcoming",
    )


def _list(asked: Filter) -> dict[str, Any]:
    """What the list shows; `query` is the filter as it stands in addresses of further pages."""
    person = viewer()
    reader = get_reader(session(), person.user_id if person else None)
    number = min(request.args.get("page", 1, type=int), PAGES_MAX)
    page: ChangeList = get_change_list(session(), asked=asked, reader=reader, number=number)
    query: dict[str, Any] = {
        name: values for name, values in request.args.lists() if name in FILTERS and any(values)
    }

    def page_url(number: int) -> str:
        return url_for("changelog.changes", **query, page=number)

    return {
        "page": page,
        "asked": asked,
        "newer": page_url(page.number - 1) if page.number > 1 else None,
        "older": page_url(page.number + 1) if page.number < page.pages else None,
        "my_tiers": reader.tiers,
        "mark_errors": {},
    }

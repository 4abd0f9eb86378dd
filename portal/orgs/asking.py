"""A question about members on a page of its own, in a dialog with htmx, and again where the answer was bad."""

from dataclasses import dataclass

from flask import Response

from portal.web import responses
from portal.web.forms import BaseForm

Link = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked, what will happen, and where its form goes. `back`: the page it was asked from."""

    title: str
    lead: str
    action: str
    button: str
    back: Link
    is_final: bool = True


def ask(question: Question, form: BaseForm) -> Response:
    """Show the question."""
    return responses.page(
        "orgs/question.html", fragment="orgs/_question.html", question=question, form=form
    )


def ask_again(question: Question, form: BaseForm) -> Response:
    """Show it with what was wrong with the answer."""
    return responses.invalid(
        "orgs/question.html", fragment="orgs/_question_form.html", question=question, form=form
    )

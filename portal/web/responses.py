"""The one place that decides between a full page and a fragment."""

from typing import Any

from flask import Response, flash, make_response, redirect, render_template, request
from werkzeug.urls import iri_to_uri

FRAGMENT_HEADERS = ("HX-Request", "HX-Boosted", "HX-History-Restore-Request")


def wants_fragment() -> bool:
    """Whether htmx asked for a part; boosted links and history restores want the whole page."""
    asked, *whole = (request.headers.get(name) == "true" for name in FRAGMENT_HEADERS)
    return asked and not any(whole)


def page(
    template: str, *, fragment: str | None = None, status: int = 200, **values: Any
) -> Response:
    """Render the page, or for htmx its fragment where it has one."""
    chosen = fragment if fragment is not None and wants_fragment() else template
    return _vary(make_response(render_template(chosen, **values), status))


def done(
    to: str, *, message: str | None = None, fragment: str | None = None, **values: Any
) -> Response:
    """Answer an act that worked: a redirect; for htmx the fragment of what changed, with the message."""
    if fragment is not None and wants_fragment():
        parts = [render_template(fragment, **values)]
        if message:
            parts.append(
                render_template("components/_flash_oob.html", message=message, category="message")
            )
        return _vary(make_response("".join(parts)))
    if message:
        flash(message)
    if wants_fragment():
        # As `redirect` does: an address of a page may hold letters that no header can.
        return _vary(make_response("", 204, {"HX-Redirect": iri_to_uri(to)}))
    return _vary(make_response(redirect(to, 303)))


def invalid(template: str, *, fragment: str | None = None, **values: Any) -> Response:
    """Answer bad input: the form again with the messages beside the fields, 422, plain and htmx alike."""
    return page(template, fragment=fragment, status=422, **values)


def secret(template: str, *, fragment: str | None = None, **values: Any) -> Response:
    """A page that shows a secret once: never stored on the way.

    It answers the POST itself, the written exception to redirect-after-POST: carried over a redirect, the
    secret would have to lie in the browser's cookie jar.
    """
    response = page(template, fragment=fragment, **values)
    response.headers["Cache-Control"] = "no-store"
    return response


def _vary(response: Response) -> Response:
    response.vary.update(("HX-Request", "Cookie"))
    return response

"""Every error once: a page, a fragment for htmx, or problem details for machines (RFC 9457)."""

import logging

from flask import Flask, Response, json, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, SecurityError

from portal.core.errors import Invalid, PortalError, TooMany
from portal.web.responses import wants_fragment
from portal.web.session import extension

log = logging.getLogger(__name__)

MACHINE_PATHS = ("/sync/", "/api/", "/log/")
TITLES = {
    400: "We could not read that request",
    401: "You are not let in",
    403: "You may not do this",
    404: "Not found",
    405: "This address does not take that kind of request",
    409: "This changed in the meantime",
    410: "This link is no longer valid",
    413: "That is too large",
    415: "We do not read that kind of body",
    422: "Something is not right yet",
    429: "Too many attempts",
    500: "Something went wrong on our side",
    503: "Not available at the moment",
}
TEXTS = {
    400: "The request was not complete. Go back, reload the page and try again.",
    404: "There is nothing at this address, or it is not yours to see.",
    405: "Go back and use the page's own buttons.",
    413: "What you sent is larger than this page takes.",
    500: "Nothing was changed. We have a record of the error.",
}
# Programs see no buttons.
MACHINE_TEXTS = {
    400: "The request could not be read.",
    405: "`Allow` says which methods this address takes.",
    413: "What you sent is larger than this address takes.",
}


def install(app: Flask, *, has_pages: bool = True) -> None:
    """Register the handlers; where there are no pages, errors are JSON for everyone."""
    app.extensions["portal.has_pages"] = has_pages
    app.register_error_handler(PortalError, _portal_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _portal_error(error: PortalError) -> Response:
    field = error.field if isinstance(error, Invalid) else None
    response = problem(error.status, error.code, error.public, field=field)
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _csrf_error(error: CSRFError) -> Response:
    log.info("csrf: %s", error.description)
    text = "This form has expired. Reload the page and send it again."
    return problem(400, "csrf", text)


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if isinstance(error, SecurityError):
        # A host that is not ours: no page, since none of its links could be made.
        text = "The portal does not answer under this name.\n"
        return Response(text, status, content_type="text/plain; charset=utf-8")
    code = (error.name or "error").lower().replace(" ", "_")
    if status < 400:  # noqa: PLR2004 -- a redirect that werkzeug raises is no error
        return make_response(error.get_response())
    texts = TEXTS | MACHINE_TEXTS if wants_json() else TEXTS
    response = problem(status, code, texts.get(status, error.description or ""))
    for name, value in error.get_headers(request.environ):
        if name in {"Allow", "Retry-After"}:
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    # By its rule: the address itself may hold a mailed link's token.
    log.error("unhandled on %s %s", request.method, request.url_rule, exc_info=error)
    try:
        return problem(500, "error", TEXTS[500])
    except Exception:
        # The page asks the database who is signed in; where that is the trouble, words must do.
        log.exception("the error page could not be made")
        return Response(f"{TITLES[500]}. {TEXTS[500]}\n", 500, content_type="text/plain")


def wants_json() -> bool:
    """Whether a machine asks: by the address, or by what it accepts."""
    if request.path.startswith(MACHINE_PATHS) or request.path.endswith(".json"):
        return True
    if not extension("has_pages"):
        return True
    accept = request.accept_mimetypes
    best = accept.best_match(["text/html", "application/json", "application/problem+json"])
    return best is not None and best != "text/html" and not accept.accept_html


def problem(status: int, code: str, detail: str, *, field: str | None = None) -> Response:
    """One error in the form that the caller reads."""
    title = TITLES.get(status, "Something is not right")
    if wants_json():
        body = {"type": f"/problems/{code}", "title": title, "status": status, "code": code}
        body |= {"detail": detail} | ({"field": field} if field else {})
        return Response(json.dumps(body), status, content_type="application/problem+json")
    name = "errors/_error.html" if wants_fragment() else "errors/error.html"
    text = render_template(name, status=status, code=code, title=title, message=detail)
    response = make_response(text, status)
    response.vary.update(("HX-Request", "Cookie"))
    return response

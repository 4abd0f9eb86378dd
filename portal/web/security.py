"""Headers of every answer, the check of Origin, and what may be cached."""

from urllib.parse import urlsplit

from flask import Flask, Request, Response, request, session
from flask_wtf import CSRFProtect

from portal.config import Settings
from portal.core.errors import Forbidden, NotFound
from portal.web.assets import HTMX_URL

csrf = CSRFProtect()

CSP = "; ".join(
    (
        "default-src 'none'",
        f"script-src 'self' {HTMX_URL}",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


LOOPBACK_HOSTS = ["localhost", "127.0.0.1"]
METRICS = "/metrics"


class PortalRequest(Request):
    """A scraper on this machine asks for it by its own name, in production, too; it gets no page."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "trusted_hosts" and isinstance(value, list) and self.path == METRICS:
            value = [*value, *LOOPBACK_HOSTS]
        super().__setattr__(name, value)


class ForeignOrigin(Forbidden):
    code = "foreign_origin"
    public = "This request came from another site."


def install(app: Flask, settings: Settings) -> None:
    """Protect forms, check Origin where it is sent, and add the headers."""
    app.request_class = PortalRequest
    csrf.init_app(app)

    app.before_request(_refuse_nul)
    app.before_request(lambda: _refuse_foreign_origin(settings))

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if not settings.is_development:
            response.headers.setdefault("Strict-Transport-Security", "max-age=63072000")
        return _cache_headers(response)


def _refuse_nul() -> None:
    # No address holds one, and PostgreSQL takes none.
    if "\0" in request.path or any("\0" in value for value in request.args.values()):
        raise NotFound


def _refuse_foreign_origin(settings: Settings) -> None:
    origin = request.headers.get("Origin")
    if request.method in {"GET", "HEAD", "OPTIONS"} or not origin:
        return
    own = {settings.url}
    if settings.is_development:
        own.add(request.host_url.rstrip("/"))
    if origin not in own:
        raise ForeignOrigin


def _cache_headers(response: Response) -> Response:
    if request.endpoint == "static" or request.path.startswith(("/sync/", "/log/")):
        return response
    if "Cache-Control" in response.headers:
        return response
    # Asked of the cookie, so that an answer about a missing database does not ask the database.
    if "_user_id" in session:
        response.headers["Cache-Control"] = "private, no-store"
        return response
    cacheable = request.method == "GET" and response.status_code == 200  # noqa: PLR2004
    if not cacheable or "Set-Cookie" in response.headers or _sets_session():
        response.headers["Cache-Control"] = "no-store"
        return response
    response.headers["Cache-Control"] = "no-cache"
    response.vary.add("Cookie")
    if not response.is_streamed:
        response.add_etag()
        response.make_conditional(request)
    return response


def _sets_session() -> bool:
    return session.modified


def is_loopback_host(host: str) -> bool:
    """Whether a `Host` names the machine that is asked as itself."""
    return any(host == each or host.startswith(f"{each}:") for each in LOOPBACK_HOSTS)


def allowed_hosts(settings: Settings) -> list[str]:
    """The host names that the portal answers to; a forged one is refused before any page is made."""
    own = urlsplit(settings.url).hostname or ""
    return [own, "localhost", "127.0.0.1"] if settings.is_development else [own]

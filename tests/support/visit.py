"""The client that inspects every page it fetches, so that any test of a page is a test of the rules."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from bs4 import BeautifulSoup
from flask import Flask, url_for
from flask.testing import FlaskClient
from itsdangerous import BadSignature
from werkzeug.test import TestResponse

from tests.support.page_rules import Answer, breaches, parse_fragment, parse_page
from tests.support.pages import Page, words


class Visit:
    """`visit.get("keys.keys", org="acme")` or `visit.get("/orgs/acme/keys")`: a checked `Page`.

    Further keywords are the endpoint's values; for a path, its query. A status other than 200
    and every redirect must be announced; a redirect is then followed, plain, as a browser does.
    """

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    @property
    def app(self) -> Flask:
        return self.client.application

    def get(
        self,
        target: str,
        /,
        *,
        htmx: bool = False,
        status: int = 200,
        redirect: str | None = None,
        **values: Any,
    ) -> Page:
        """Fetch a page, or with `htmx` its fragment."""
        url = self._url(target, values)
        return self.send("GET", url, htmx=htmx, status=status, redirect=redirect)

    def post(
        self,
        target: str,
        /,
        *,
        data: Mapping[str, Any] | None = None,
        htmx: bool = False,
        status: int = 200,
        redirect: str | None = None,
        **values: Any,
    ) -> Page:
        """Send raw data, without a CSRF token unless it is in them. A test of a page uses its form."""
        url = self._url(target, values)
        return self.send("POST", url, data=data, htmx=htmx, status=status, redirect=redirect)

    def send(
        self,
        method: str,
        url: str,
        *,
        data: Mapping[str, Any] | None = None,
        htmx: bool = False,
        status: int = 200,
        redirect: str | None = None,
    ) -> Page:
        """Any request. Raises AssertionError naming all that is wrong with the answer."""
        was_signed_in = self.is_signed_in
        headers = {"HX-Request": "true"} if htmx else {}
        if method == "GET":
            url, data = _with_query(url, data or {}), None
        response = self.client.open(url, method=method, headers=headers, data=data)
        target = _target(response)
        if target is not None or redirect is not None:
            assert target == redirect, f"{method} {url} leads to {target!r}, not to {redirect!r}"
            return self.get(target or "")
        assert response.status_code == status, f"{method} {url}: {_excerpt(response)}"
        return self._page(response, url, is_htmx=htmx, was_signed_in=was_signed_in)

    @property
    def is_signed_in(self) -> bool:
        """Whether the cookie names a user. It is read here, not opened: opening would renew it."""
        cookie = self.client.get_cookie(self.app.config["SESSION_COOKIE_NAME"])
        interface: Any = self.app.session_interface
        if cookie is None:
            return False
        try:
            return "_user_id" in interface.get_signing_serializer(self.app).loads(cookie.value)
        except BadSignature:
            return False

    def _page(
        self, response: TestResponse, url: str, *, is_htmx: bool, was_signed_in: bool
    ) -> Page:
        assert response.mimetype == "text/html", f"{url}: {response.mimetype}; use the client"
        html = response.get_data(as_text=True)
        soup, faults = parse_fragment(html) if is_htmx else parse_page(html)
        answer = Answer(html, soup, faults, response.headers, is_htmx, was_signed_in)
        found = breaches(answer)
        assert not found, f"{url}:\n  " + "\n  ".join(found)
        return Page(html, response.status_code, url, response.headers, soup, self)

    def _url(self, target: str, values: Mapping[str, Any]) -> str:
        if target.startswith("/"):
            return _with_query(target, values)
        with self.app.test_request_context():
            return url_for(target, **values)


def _with_query(url: str, values: Mapping[str, Any]) -> str:
    query = urlencode(values, doseq=True)
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def _target(response: TestResponse) -> str | None:
    """Where the answer sends the browser: by status, or by htmx's header. Path and query only."""
    to = response.headers.get("HX-Redirect")
    if response.status_code // 100 == 3:
        to = response.headers.get("Location", "")
    if to is None:
        return None
    parts = urlsplit(to)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _excerpt(response: TestResponse) -> str:
    """The status and what the page says of it, since the words name the cause."""
    text = response.get_data(as_text=True)
    main = BeautifulSoup(text, "html5lib").select_one("main, body")
    return f"{response.status}, {words(main)[:300] if main else text[:300]}"

"""Static files under addresses that carry a hash of their content, cached for a year."""

import hashlib
from functools import cache
from pathlib import Path

from flask import Flask, Response, current_app, request, url_for

HTMX_VERSION = "2.0.11"
HTMX_URL = f"https://unpkg.com/htmx.org@{HTMX_VERSION}/dist/htmx.min.js"
HTMX_INTEGRITY = "sha384-2OatzQy1H+Zd/IIrjr1TcuDGqLXeHhbooAyJY1KdQMKnr4LZ22k31GBLdYKHmVjg"
LOCAL_HTMX = "local/htmx.js"
YEAR_SECONDS = 31_536_000


def install(app: Flask) -> None:
    """Give templates `asset`, and the addresses of htmx; let hashed addresses be cached."""
    folder = Path(app.static_folder or "")
    app.jinja_env.globals.update(
        asset=asset,
        htmx_url=HTMX_URL,
        htmx_integrity=HTMX_INTEGRITY,
        # The operator's own copy, where `make assets` has fetched it.
        htmx_local=LOCAL_HTMX if (folder / LOCAL_HTMX).exists() else None,
    )
    app.after_request(_cache_for_a_year)


def asset(path: str) -> str:
    """The address of a static file, with the hash of its content."""
    return url_for("static", filename=path, v=_hash(Path(current_app.static_folder or "") / path))


@cache
def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _cache_for_a_year(response: Response) -> Response:
    if request.endpoint == "static" and "v" in request.args:
        response.headers["Cache-Control"] = f"public, max-age={YEAR_SECONDS}, immutable"
    return response

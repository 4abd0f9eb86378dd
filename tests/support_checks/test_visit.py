"""The page-checking client is a guard, so each of its checks is seen failing on a bad page."""

from collections.abc import Callable

import pytest
from flask import Flask, Response, flash, redirect, request, session
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from tests.support.visit import Visit

# In two pieces, so that secret scanners stay quiet.
SECRET = "plim_live_" + "a1B2c3" * 6
FORM = """
<form name="key" method="post" action="/keys" hx-post="/keys">
  <input type="hidden" name="csrf_token" value="{token}">
  <label for="name">Name</label> <input id="name" name="name" value="old">
  <p class="field-error" id="name-error">Too short.</p>
  <label><input type="checkbox" name="live" value="yes" checked> Live</label>
  <label for="tier">Tier</label>
  <select id="tier" name="tier"><option value="a">A</option><option value="b" selected>B</option></select>
  <button type="submit">Issue</button>
</form>
"""
TABLE = """
<table><caption>Keys</caption>
  <thead><tr><th scope="col">Name</th><th scope="col">State</th></tr></thead>
  <tbody><tr><th scope="row">batch</th><td>  Active
    now</td></tr></tbody></table>
"""


def page(body: str = "", *, title: str = "Keys · Plimsoll", head: str = "") -> str:
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>{head}'
        f'</head><body><main><div id="flash"></div><h1>Keys</h1>{body}</main></body></html>'
    )


@pytest.fixture
def app() -> Flask:
    made = Flask(__name__)
    made.config.update(SECRET_KEY="only for these tests", TESTING=True)
    CSRFProtect(made)
    return made


@pytest.fixture
def visit(app: Flask) -> Visit:
    return Visit(app.test_client())


@pytest.fixture
def serve(app: Flask) -> Callable[..., None]:
    """Answer at / with this text and these headers."""

    def answer(text: str, **headers: str) -> None:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        app.add_url_rule("/", "start", lambda: Response(text, 200, names, "text/html"))

    return answer


def test_a_good_page_passes_and_is_read_as_a_person_would(visit, serve):
    serve(page(TABLE + '<dl><dt>Tier</dt><dd>Build</dd></dl><a href="/x">Go on</a>'))

    found = visit.get("/")

    assert (found.title, found.h1) == ("Keys · Plimsoll", "Keys")
    assert found.table("Keys").row("batch") == {"Name": "batch", "State": "Active now"}
    assert found.facts == {"Tier": "Build"}
    assert found.link("Go on") == "/x"


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (page("<p>one<div></p>"), "invalid HTML"),
        (page("<p>&nosuch;</p>"), "invalid HTML"),
        (page().removeprefix("<!DOCTYPE html>"), "invalid HTML"),
        (page("<h1>Keys</h1>"), "2 h1"),
        (page(title="Tier"), "does not begin with h1"),
        (page('<p id="a"></p><p id="a"></p>'), "stands 2 times"),
        (page('<input name="email">'), "no label for"),
        (page('<label for="e"></label><input id="e">'), "no label for"),
        (page('<textarea name="t"></textarea>'), "no label for"),
        (page('<button type="button"></button>'), "no words in"),
        (page('<a href="/"><svg></svg></a>'), "no words in"),
        (page('<form method="get"></form>'), "no action"),
        (page('<form method="get" action=""></form>'), "no action"),
        (page('<form action="/a"></form>'), "no method"),
        (page('<form method="post" action="/a"></form>'), "no CSRF token"),
        (page('<form method="get" action="/a" hx-post="/b"></form>'), "hx-post differs"),
        (page('<div hx-post="/b"></div>'), "hx-post differs"),
        (page('<a href="/a" hx-get="/b">Ask</a>'), "hx-get differs"),
        (page('<a href="/a" hx-delete="/a">Ask</a>'), "HTML does not know"),
        (page("<script>1</script>"), "inline script"),
        (page(head="<style>p{}</style>"), "inline style"),
        (page('<p style="color:red">a</p>'), "inline style on"),
        (page('<p onclick="a()">a</p>'), "inline onclick"),
        (page('<a href="javascript:a()">a</a>'), "script in href"),
        (page('<p aria-describedby="gone">a</p>'), "not on the page"),
        (page(f"<p>{SECRET}</p>"), "secret-looking"),
        (page(f'<p title="{SECRET}">a</p>'), "secret-looking"),
        (page(f"<p data-shows-secret>{SECRET}</p>"), "may be stored"),
        ("<p>only a part</p>", "a fragment where a page"),
    ],
)
def test_a_bad_page_is_refused_with_its_fault(visit, serve, bad, sentence):
    serve(bad)

    with pytest.raises(AssertionError, match=sentence):
        visit.get("/")


def test_a_page_may_show_a_secret_where_it_says_so_and_is_not_stored(visit, serve):
    serve(page(f"<p data-shows-secret>{SECRET}</p>"), Cache_Control="no-store")

    assert SECRET in visit.get("/").text


def test_a_page_for_somebody_signed_in_must_not_be_stored(visit, serve):
    with visit.client.session_transaction() as cookie:
        cookie["_user_id"] = "usr_1"
    serve(page(), Cache_Control="private")

    with pytest.raises(AssertionError, match="does not say no-store"):
        visit.get("/")


@pytest.mark.parametrize(
    ("bad", "vary", "sentence"),
    [
        (page(), "HX-Request", "a whole page where htmx"),
        ("<p>part</p>", "Cookie", "Vary does not name"),
        ("<p>one<div></p>", "HX-Request", "invalid HTML"),
        ("<tr><td>1</td></tr><p>outside</p>", "HX-Request", "invalid HTML"),
        (f"<p>{SECRET}</p>", "HX-Request", "secret-looking"),
    ],
)
def test_a_bad_fragment_is_refused_with_its_fault(visit, serve, bad, vary, sentence):
    serve(bad, Vary=vary)

    with pytest.raises(AssertionError, match=sentence):
        visit.get("/", htmx=True)


def test_a_table_row_with_a_message_out_of_band_is_a_good_fragment(visit, serve):
    oob = '<template><div hx-swap-oob="innerHTML:#flash"><p>Done.</p></div></template>'
    serve(f'<tr id="key_1"><th scope="row">batch</th></tr>{oob}', Vary="HX-Request, Cookie")

    found = visit.get("/", htmx=True)

    assert found.is_fragment
    assert found.flash == "Done."


def test_an_answer_that_is_no_page_is_refused(visit, app):
    app.add_url_rule("/", "start", lambda: {"a": 1})

    with pytest.raises(AssertionError, match="use the client"):
        visit.get("/")


def test_a_status_must_be_announced_and_its_words_are_in_the_message(visit, app):
    app.add_url_rule("/", "start", lambda: (page("<p>Not yours</p>"), 403))

    with pytest.raises(AssertionError, match=r"403 FORBIDDEN.*Not yours"):
        visit.get("/")
    assert visit.get("/", status=403).status == 403


def test_a_redirect_must_be_announced_and_is_followed(visit, app):
    app.add_url_rule("/", "start", lambda: redirect("/next?a=1", 303))
    app.add_url_rule("/next", "next", page)

    with pytest.raises(AssertionError, match="leads to '/next"):
        visit.get("/")
    with pytest.raises(AssertionError, match="not to '/other'"):
        visit.get("/", redirect="/other")
    assert visit.get("/", redirect="/next?a=1").h1 == "Keys"


def test_an_announced_redirect_that_does_not_come_is_refused(visit, serve):
    serve(page())

    with pytest.raises(AssertionError, match="leads to None"):
        visit.get("/", redirect="/next")


def test_endpoints_and_paths_take_values(visit, app):
    app.add_url_rule("/<org>/keys", "keys", lambda org: page(f"<p>{org} {request.args}</p>"))

    assert "acme" in visit.get("keys", org="acme").text
    assert "2026" in visit.get("/acme/keys", at="2026").text


@pytest.fixture
def keys(app: Flask) -> list[tuple[bool, dict[str, str]]]:
    """A page with a form; what was sent is kept, with whether htmx sent it."""
    sent: list[tuple[bool, dict[str, str]]] = []

    def act() -> Response:
        is_htmx = "HX-Request" in request.headers
        sent.append((is_htmx, request.form.to_dict()))
        flash("Issued.")
        if is_htmx:
            return Response("", 204, {"HX-Redirect": "/keys"})
        return Response("", 303, {"Location": "/keys"})

    def show() -> str:
        messages = " ".join(message for _, message in session.pop("_flashes", []))
        text = page(FORM.format(token=generate_csrf()))
        return text.replace('id="flash">', f'id="flash">{messages}')

    app.add_url_rule("/keys", "keys", show)
    app.add_url_rule("/keys", "issue", act, methods=["POST"])
    return sent


@pytest.mark.parametrize("htmx", [False, True])
def test_a_form_is_filled_and_sent_with_its_token_both_ways(visit, keys, htmx):
    form = visit.get("/keys").form("Issue").fill(name="new", live=False, tier="a")

    after = form.submit(htmx=htmx, redirect="/keys")

    was_htmx, data = keys[0]
    assert data.pop("csrf_token")
    assert (was_htmx, data) == (htmx, {"name": "new", "tier": "a"})
    assert after.flash == "Issued."


def test_a_form_keeps_what_stands_in_it_and_names_its_fields(visit, keys):
    form = visit.get("/keys").form()

    assert form.names == ["name", "live", "tier"]
    assert (form.values["name"], form.values["live"], form.values["tier"]) == (
        ["old"],
        ["yes"],
        ["b"],
    )
    with pytest.raises(AssertionError, match="no field 'nmae'"):
        form.fill(nmae="x")


def test_errors_are_found_by_the_name_of_their_field(visit, keys):
    assert visit.get("/keys").errors == {"name": "Too short."}


def test_what_is_not_there_is_named_with_what_is(visit, keys):
    found = visit.get("/keys")

    with pytest.raises(AssertionError, match="here are"):
        found.form("Revoke")
    with pytest.raises(AssertionError, match="no table 'Keys'"):
        found.table("Keys")
    with pytest.raises(AssertionError, match="no link 'Away'"):
        found.link("Away")

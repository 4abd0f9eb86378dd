import pytest

from portal.changelog.life import span
from portal.changelog.prose import render


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 minute"),
        (3600, "1 hour"),
        (7 * 3600 + 120, "7 hours 2 minutes"),
        (86_400, "1 day"),
        (86_400 + 59, "1 day"),
        (30 * 86_400 - 1, "29 days 23 hours"),
        (400 * 86_400, "400 days"),
    ],
)
def test_a_span_is_told_down_to_the_next_smaller_unit(seconds, text):
    assert span(seconds) == text


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](vbscript:x)",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](http://192.0.2.1/pixel.png)",
        "<a href='javascript:alert(1)'>x</a>",
        '[x](https://example.com/"onmouseover="alert(1))',
        "```\n</code></pre><script>alert(1)</script>\n```",
        "`</code><script>alert(1)</script>`",
        '<http://example.com/"onclick=x>',
    ],
)
def test_nothing_that_runs_or_loads_gets_through(text):
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(f"<body>{render(text)}</body>", "html5lib")

    assert not soup.body.select("script, img, style, iframe, form, input")
    for tag in soup.body.select("*"):
        assert set(tag.attrs) <= {"href", "rel", "class", "start"}, tag
        assert tag.get("href", "https:").startswith(("https:", "http:", "mailto:", "/"))


def test_markdown_is_rendered():
    assert render("A **b** [c](https://example.com)\n\n- d") == (
        '<p>A <strong>b</strong> <a href="https://example.com" rel="nofollow noopener">c</a></p>\n'
        "<ul>\n<li>d</li>\n</ul>\n"
    )

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from portal.changelog.change_list import last_policy, names
from portal.changelog.lines import NewsLine, news_line
from portal.changelog.models import PlainAnnouncement
from portal.changelog.prose import render
from portal.core.errors import NotFound
from portal.transparency.queries import signed_log


@dataclass(frozen=True)
class NewsPage:
    """A plain announcement as everyone reads it."""

    line: NewsLine
    whom: str
    text: Markup


def get_news_page(session: Session, news_id: str) -> NewsPage:
    """A plain announcement, withdrawn ones too. Raises NotFound."""
    found = session.get(PlainAnnouncement, news_id)
    if found is None:
        raise NotFound
    line = news_line(found)
    return NewsPage(line, names(last_policy(signed_log(session)), line.tiers), render(line.text))

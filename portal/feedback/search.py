"""The table of words: kept with each post, asked by the list and while somebody types a title."""

from collections.abc import Collection

from sqlalchemy import Select, delete, exists, func, select
from sqlalchemy.orm import Session, aliased

from portal.feedback.models import Post, Thread, ThreadWord
from portal.feedback.words import WORDS_MAX, words_of

# With fewer finds the threads are fetched by number and sorted; with more, the list is walked in its order
# and each thread looked up, since then one in a few fits.
FEW = 500
QUERY_WORDS_MAX = 8
# How many threads with one word are looked at for similar titles: the newest.
SIMILAR_FROM = 2_000


def add_words(session: Session, thread: Thread, *texts: str) -> None:
    """Let a thread be found by further words."""
    words = words_of(*texts)
    known = select(ThreadWord.word).where(ThreadWord.number == thread.number)
    there = set(session.scalars(known))
    room = WORDS_MAX - len(there)
    new = [word for word in words if word not in there][: max(room, 0)]
    session.add_all(ThreadWord(word=word, number=thread.number) for word in new)


def rebuild_words(session: Session, thread: Thread) -> None:
    """Let a thread be found by what can be read in it now, after an edit or a hidden post."""
    session.flush()  # the texts are read back below
    session.execute(delete(ThreadWord).where(ThreadWord.number == thread.number))
    if thread.hidden_at is not None:
        return
    texts = session.scalars(
        select(Post.text)
        .where(Post.thread_id == thread.id, Post.hidden_at.is_(None))
        .order_by(Post.position)
    )
    words = words_of(thread.title, *texts)
    session.add_all(ThreadWord(word=word, number=thread.number) for word in words)


def narrowed(session: Session, query: Select[Thread], words: list[str]) -> Select[Thread]:
    """`query`, narrowed to the threads in which every word stands."""
    words = words[:QUERY_WORDS_MAX]
    if not words:
        return query
    rarest, *others = sorted(words, key=lambda word: _count(session, word))
    first = aliased(ThreadWord)
    finds = select(first.number).where(first.word == rarest)
    for word in others:
        other = aliased(ThreadWord)
        finds = finds.where(exists().where(other.word == word, other.number == first.number))
    numbers = list(session.scalars(finds.limit(FEW + 1)))
    if len(numbers) <= FEW:
        return query.where(Thread.number.in_(numbers))
    for word in words:
        each = aliased(ThreadWord)
        query = query.where(exists().where(each.word == word, each.number == Thread.number))
    return query


def rank(session: Session, words: Collection[str], *, size: int) -> list[int]:
    """The numbers of the threads that share most of the words, rare ones counting more."""
    scores: dict[int, float] = {}
    for word in list(words)[:QUERY_WORDS_MAX]:
        numbers = list(
            session.scalars(
                select(ThreadWord.number)
                .where(ThreadWord.word == word)
                .order_by(ThreadWord.number.desc())
                .limit(SIMILAR_FROM)
            )
        )
        for number in numbers:
            scores[number] = scores.get(number, 0) + 1 / (1 + len(numbers) / SIMILAR_FROM)
    return sorted(scores, key=lambda number: (-scores[number], -number))[:size]


def _count(session: Session, word: str) -> int:
    """How many threads a word stands in, counted no further than it matters."""
    some = select(ThreadWord.number).where(ThreadWord.word == word).limit(20 * FEW).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0

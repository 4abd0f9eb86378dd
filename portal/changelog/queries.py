from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from plimsoll.contract.announcement import Announcement, Row
from plimsoll.contract.fold import ChangeInLog, Policy
from plimsoll.contract.limits import ALL_MODELS, METRICS
from portal.changelog import words
from portal.changelog.models import Change, ChangeWords
from portal.changelog.table import ALL_MODELS_TEXT, LimitsTable, make_table, page_order
from portal.core import clock
from portal.core.errors import NotFound
from portal.orgs.queries import list_orgs_of
from portal.tiers.queries import current_tiers
from portal.transparency.queries import SignedLog, signed_log


@dataclass(frozen=True)
class ChangeLine:
    """One line of the changelog. Instants are Unix seconds."""

    number: int
    title: str
    announced_at: int
    effective_at: int
    is_effective: bool


@dataclass(frozen=True)
class LimitsPage:
    """The limits at `at` (Unix seconds), with what the reader wants to know first."""

    table: LimitsTable
    at: int
    is_now: bool
    is_ahead: bool
    since: ChangeLine | None
    first: ChangeLine | None
    upcoming: tuple[ChangeLine, ...]
    held: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class DiffLine:
    """One limit's step: "Opus 5 · requests per minute", "1,000 (new)"."""

    what: str
    step: str


@dataclass(frozen=True)
class ChangePage:
    """A change as everyone reads it."""

    line: ChangeLine
    id: str
    entry_seq: int
    reason: tuple[str, ...]
    reason_sha256: str
    terms: tuple[tuple[str, str], ...]
    diff: tuple[tuple[str, tuple[DiffLine, ...]], ...]
    summary: str


def get_limits_page(session: Session, *, at: int | None, user_id: str | None) -> LimitsPage:
    """The limits at an instant, or now; a signed-in reader's organisations are marked."""
    log, now = signed_log(session), clock.timestamp()
    instant = now if at is None else at
    policy = log.policy(instant)
    orgs = _tiers_of(session, user_id)
    lines = [_line(change, now=instant) for change in policy.changes.values()]
    effective = [line for line in lines if line.is_effective]
    upcoming = sorted(
        (line for line in lines if not line.is_effective), key=lambda line: line.effective_at
    )
    return LimitsPage(
        table=make_table(policy, held=_by_tier(orgs)),
        at=instant,
        is_now=at is None,
        is_ahead=instant > now,
        since=max(effective, key=lambda line: (line.effective_at, line.number), default=None),
        first=min(lines, key=lambda line: line.effective_at, default=None),
        upcoming=tuple(upcoming),
        held=tuple((org, policy.tiers[tier].name) for org, tier in orgs if tier in policy.tiers),
    )


def _tiers_of(session: Session, user_id: str | None) -> list[tuple[str, str]]:
    """The reader's organisations by name, each with its tier's slug."""
    if user_id is None:
        return []
    orgs = list_orgs_of(session, user_id)
    tiers = current_tiers(session, [org.id for org in orgs])
    return [(org.name, tiers[org.id]) for org in orgs if org.id in tiers]


def _by_tier(orgs: list[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    return {
        tier: tuple(name for name, held in orgs if held == tier) for tier in {t for _, t in orgs}
    }


def list_changes(session: Session) -> list[ChangeLine]:
    """The published changes, newest first."""
    now = clock.timestamp()
    changes = signed_log(session).policy(now).changes
    return [_line(changes[number], now=now) for number in sorted(changes, reverse=True)]


def get_change(session: Session, number: int) -> Change:
    """A change whose entry is signed. Raises NotFound."""
    signed = signed_log(session).policy(clock.timestamp()).changes.get(number)
    change = session.scalar(select(Change).where(Change.number == number))
    if signed is None or change is None or signed.announcement.id != change.id:
        raise NotFound
    return change


def get_reason(session: Session, number: int) -> str:
    """The newest words of a change. Raises NotFound."""
    get_change(session, number)
    found = session.scalar(
        select(ChangeWords.reason)
        .where(ChangeWords.number == number)
        .order_by(ChangeWords.version.desc())
        .limit(1)
    )
    if found is None:
        raise NotFound
    return found


def get_change_page(session: Session, number: int) -> ChangePage:
    """A change with its diff in words. Raises NotFound."""
    change, log = get_change(session, number), signed_log(session)
    now = clock.timestamp()
    found = log.policy(now).changes[number]
    announced = found.announcement
    then = log.policy(announced.effective_at)
    return ChangePage(
        line=_line(found, now=now),
        id=change.id,
        entry_seq=found.seq,
        reason=tuple(part for part in get_reason(session, number).split("\n\n") if part.strip()),
        reason_sha256=announced.reason_sha256,
        terms=tuple(_terms(announced, then).items()),
        diff=tuple(_diff(announced, then).items()),
        summary=_summary(announced),
    )


def get_document_source(session: Session) -> SignedLog:
    """What `/limits.json` is made from."""
    return signed_log(session)


def _line(change: ChangeInLog, *, now: int) -> ChangeLine:
    announced = change.announcement
    return ChangeLine(
        number=announced.change,
        title=announced.title,
        announced_at=change.announced_at,
        effective_at=announced.effective_at,
        is_effective=announced.effective_at <= now,
    )


def _summary(announced: Announcement) -> str:
    """How many limits are new, changed or removed."""
    rows = announced.rows
    new = sum(row.before is None for row in rows)
    removed = sum(row.after is None for row in rows)
    counts = {"new": new, "changed": len(rows) - new - removed, "removed": removed}
    said = [f"{count:,} {word}" for word, count in counts.items() if count]
    return f"{words.listing(said)} {'limit' if len(rows) == 1 else 'limits'}" if said else ""


def _terms(announced: Announcement, policy: Policy) -> dict[str, str]:
    """What the change publishes besides limits."""
    offers = sum(offer.offered for offer in announced.offers)
    counted = [name for name in METRICS if name in announced.counting["texts"]]
    found = {
        "Tiers": words.listing(
            tier.name for tier in sorted(announced.tiers, key=lambda tier: tier.rank)
        ),
        "Models": words.listing(model.name for model in announced.models),
        "Offers": f"{offers:,} of a model in a tier" if offers else "",
        "Counting rule": "of " + words.listing(METRICS[name].title for name in counted)
        if counted
        else "",
    }
    return {term: text for term, text in found.items() if text and policy.tiers}


def _diff(announced: Announcement, policy: Policy) -> dict[str, tuple[DiffLine, ...]]:
    """The rows in words, by tier, in the order of the published table."""
    found: dict[str, list[DiffLine]] = {}
    ranks = {tier.slug: index for index, tier in enumerate(policy.tiers_by_rank())}
    rows = sorted(announced.rows, key=lambda row: page_order(row.cell))
    for row in sorted(rows, key=lambda row: ranks.get(row.cell.tier, -1)):
        found.setdefault(_tier_name(policy, row), []).append(_diff_line(policy, row))
    return {tier: tuple(lines) for tier, lines in found.items()}


def _tier_name(policy: Policy, row: Row) -> str:
    tier = policy.tiers.get(row.cell.tier)
    return tier.name if tier else row.cell.tier


def _diff_line(policy: Policy, row: Row) -> DiffLine:
    model = policy.models.get(row.cell.model)
    name = ALL_MODELS_TEXT if row.cell.model == ALL_MODELS else model.name if model else ""
    return DiffLine(f"{name} · {words.measure(row.cell)}", words.step(row.before, row.after))

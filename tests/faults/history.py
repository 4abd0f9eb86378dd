"""What happened, and whether it may have: the invariants of the sync API, judged after a run.

Times are seconds of the machine's monotonic clock, which all processes share. Nothing is judged from
what a gateway says of itself: decisions are its answers, links are what the proxy let through,
copies are read from the files on disk.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

# A gateway that is connected holds a change within this long.
BOUND_SECONDS = 1.0
# What a kill may lose of the reports: the last second, and the moment that saving it takes.
LOST_SECONDS = 1.5
UNANSWERED = 0
# Why there is no answer: nothing listens; or the connection was left over from a process that is gone.
NOBODY, STALE = "nobody", "stale"
DENIED = {401, 403}
NOT_READY = 503


class Decision(NamedTuple):
    """One answer of a gateway about a key; status 0 where none came."""

    gateway: str
    key: str
    began: float
    ended: float
    status: int
    code: str

    @property
    def is_admitted(self) -> bool:
        return self.status == 200


class Span(NamedTuple):
    """From when to when. Of a link: a gateway was connected, and nothing was harmed."""

    began: float
    ended: float
    gateway: str = ""

    def holds(self, decision: Decision, *, since: float, late: float = 0.0) -> bool:
        """Whether the gateway had been connected long enough when it was asked, on a machine so late."""
        since = max(self.began, since) + BOUND_SECONDS + late
        return self.gateway == decision.gateway and since <= decision.began < self.ended


class Down(NamedTuple):
    """From when to when a gateway's process was not there; somewhere before `gone` it had been killed."""

    began: float
    gone: float
    ended: float
    gateway: str


class Harm(NamedTuple):
    """A lane was harmed; streams that lived through it are believed again a moment later."""

    lane: int
    began: float
    ended: float
    settled: float


class Position(NamedTuple):
    """Where a gateway said that it stands."""

    gateway: str
    revision: int
    digest: str


class Copy(NamedTuple):
    """What lay in a gateway's store: its position, the sum of its records, its verified log."""

    gateway: str
    revision: int
    digest: str
    summed: str
    leaves: tuple[bytes, ...]


class Limit(NamedTuple):
    """A published limit as a gateway enforced it."""

    gateway: str
    at: float
    quota: int


class Violation(NamedTuple):
    """A rule that was broken, and how."""

    rule: str
    text: str


@dataclass
class History:
    """Everything that is known of a run."""

    # When the portal had answered; of a key that was lost in a restored backup, nothing is judged.
    issued: dict[str, float] = field(default_factory=dict)
    revoked: dict[str, float] = field(default_factory=dict)
    # From here on a key may be refused: somebody began to revoke it, or a backup forgot it.
    touched: dict[str, float] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    links: list[Span] = field(default_factory=list)
    downs: list[Down] = field(default_factory=list)
    # The portal's processes were not there.
    outages: list[Span] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    # All that the portal ever committed: digests by revision, over all epochs.
    commits: dict[int, set[str]] = field(default_factory=dict)
    leaves: list[bytes] = field(default_factory=list)
    quotas: list[int] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    # Requests by key: what the portal has counted, and what lies in the gateways' spools.
    counted: Counter[str] = field(default_factory=Counter)
    spooled: Counter[str] = field(default_factory=Counter)
    # By how much this machine woke somebody too late, at worst: nobody on it can keep a bound to less.
    late: float = 0.0
    # How long it took to have a little on its disk, at worst.
    synced: float = 0.0
    # After a restored backup the portal has forgotten counts that it had taken.
    has_all_usage: bool = True

    def judge(self) -> list[Violation]:
        """Every violation of every rule."""
        return [found for rule in RULES for found in rule(self)]


def revocation(history: History) -> Iterator[Violation]:
    """A connected gateway admits no key later than the bound after its revocation."""
    for each in history.decisions:
        at = history.revoked.get(each.key)
        if not each.is_admitted or at is None:
            continue
        if any(link.holds(each, since=at, late=history.late) for link in history.links):
            yield _of(each, "revocation", f"admitted {each.began - at:.2f} s after its revocation")


def finality(history: History) -> Iterator[Violation]:
    """What a gateway refused as revoked it never admits again, whatever happens to it."""
    refused: dict[tuple[str, str], float] = {}
    for each in sorted(history.decisions, key=lambda each: each.ended):
        if each.code == "key_revoked":
            refused.setdefault((each.gateway, each.key), each.ended)
    for each in history.decisions:
        at = refused.get((each.gateway, each.key))
        if each.is_admitted and at is not None and each.began > at:
            yield _of(each, "finality", f"admitted {each.began - at:.2f} s after it was refused")


def no_false_deny(history: History) -> Iterator[Violation]:
    """A key that is active all the time is not refused where it is known, nor where it must be."""
    known: dict[tuple[str, str], float] = {}
    for each in history.decisions:
        if each.is_admitted:
            place = each.gateway, each.key
            known[place] = min(each.ended, known.get(place, each.ended))
    for each in history.decisions:
        issued = history.issued.get(each.key)
        is_active = each.ended <= history.touched.get(each.key, float("inf"))
        if each.status not in DENIED or issued is None or not is_active:
            continue
        if each.began > known.get((each.gateway, each.key), float("inf")):
            yield _of(each, "false deny", f"{each.code} for a key that it knew")
        elif any(link.holds(each, since=issued, late=history.late) for link in history.links):
            yield _of(each, "convergence", f"{each.code} {each.began - issued:.2f} s after issue")


def readiness(history: History) -> Iterator[Violation]:
    """Once ready, a gateway is ready for ever, and its process answers."""
    ready: dict[str, float] = {}
    for each in history.decisions:
        if each.is_admitted:
            ready[each.gateway] = min(each.ended, ready.get(each.gateway, each.ended))
    downs = defaultdict(list)
    for down in history.downs:
        downs[down.gateway].append(down)
    for each in history.decisions:
        if each.began <= ready.get(each.gateway, float("inf")):
            continue
        if each.status == NOT_READY:
            yield _of(each, "readiness", f"{each.code} after it was ready")
        is_gone = any(_overlaps(down, each) for down in downs[each.gateway])
        if each.status == UNANSWERED and each.code != STALE and not is_gone:
            yield _of(each, "readiness", f"no answer: {each.code}")


def fail_static(history: History) -> Iterator[Violation]:
    """While the portal is away each gateway goes on deciding."""
    gateways = {each.gateway for each in history.decisions}
    for outage in history.outages:
        if outage.ended - outage.began < BOUND_SECONDS + history.late:
            continue
        deciding = {
            each.gateway
            for each in history.decisions
            if each.is_admitted and outage.began <= each.began and each.ended <= outage.ended
        }
        gone = {
            down.gateway
            for down in history.downs
            if down.began <= outage.ended and outage.began <= down.ended
        }
        for gateway in sorted(gateways - deciding - gone):
            text = f"{gateway} admitted nothing in {outage.ended - outage.began:.1f} s"
            yield Violation("fail static", text)


def prefix(history: History) -> Iterator[Violation]:
    """A gateway's state at its cursor is the portal's at that revision."""
    for position in dict.fromkeys(history.positions):
        known = history.commits.get(position.revision, set())
        if not any(digest.startswith(position.digest) for digest in known):
            yield Violation("prefix", f"{position} is no commit of the portal")
    for copy in history.copies:
        if copy.summed != copy.digest:
            yield Violation("prefix", f"{copy.gateway}: records at {copy.revision} do not add up")
        if copy.digest not in history.commits.get(copy.revision, set()):
            yield Violation("prefix", f"{copy.gateway}: {copy.revision} is no commit of the portal")


def authentic_log(history: History) -> Iterator[Violation]:
    """Only what the portal signed is kept and enforced, and never an older limit after a newer."""
    for copy in history.copies:
        if list(copy.leaves) != history.leaves[: len(copy.leaves)]:
            yield Violation("authentic log", f"{copy.gateway} keeps another log")
    newest: dict[str, int] = {}
    for limit in sorted(history.limits, key=lambda each: each.at):
        if limit.quota not in history.quotas:
            yield Violation("authentic log", f"{limit.gateway} enforces {limit.quota}")
            continue
        place = history.quotas.index(limit.quota)
        if place < newest.get(limit.gateway, 0):
            yield Violation("authentic log", f"{limit.gateway} went back to {limit.quota}")
        newest[limit.gateway] = max(place, newest.get(limit.gateway, 0))


def usage(history: History) -> Iterator[Violation]:
    """What was admitted is counted once; a kill loses at most the last second of reports."""
    admitted = Counter(each.key for each in history.decisions if each.is_admitted)
    unsure = Counter(
        each.key for each in history.decisions if each.status == UNANSWERED and each.code != NOBODY
    )
    losable = Counter(
        each.key for each in history.decisions if each.is_admitted and _is_losable(each, history)
    )
    for key, passed in admitted.items():
        counted = history.counted[key] + history.spooled[key]
        if counted > passed + unsure[key]:
            yield Violation("usage", f"{key}: {counted} counted, {passed} admitted")
        if history.has_all_usage and counted < passed - losable[key]:
            text = f"{key}: {counted} counted, {passed} admitted, {losable[key]} may be lost"
            yield Violation("usage", text)


RULES = (
    revocation,
    finality,
    no_false_deny,
    readiness,
    fail_static,
    prefix,
    authentic_log,
    usage,
)


def _is_losable(decision: Decision, history: History) -> bool:
    lost = LOST_SECONDS + history.late + history.synced
    return any(
        down.gateway == decision.gateway
        and down.began - lost <= decision.ended
        # Until it was gone it could go on admitting: who kills may be slow to come to it.
        and decision.began <= down.gone
        for down in history.downs
    )


def _overlaps(span: Down, decision: Decision) -> bool:
    return span.began <= decision.ended and decision.began <= span.ended


def _of(decision: Decision, rule: str, text: str) -> Violation:
    return Violation(rule, f"{decision.gateway}, {decision.key} at {decision.began:.2f}: {text}")


def clean_links(events: list[tuple[float, int, int, str]], harms: list[Harm]) -> list[Span]:
    """From when to when each gateway had an open stream that nothing harmed."""
    links = []
    open_since: dict[int, float] = {}
    for at, lane, _, what in sorted(events):
        if lane in open_since:
            links += _unharmed(lane, open_since.pop(lane), at, harms)
        if what == "hello":
            open_since[lane] = at
    for lane, began in open_since.items():
        links += _unharmed(lane, began, float("inf"), harms)
    return links


def _unharmed(lane: int, began: float, ended: float, harms: list[Harm]) -> Iterator[Span]:
    for harm in sorted(harms, key=lambda each: each.began):
        if harm.lane != lane or harm.ended <= began or harm.began >= ended:
            continue
        if harm.began > began:
            yield Span(began, harm.began, f"gw-{lane}")
        began = max(began, harm.settled)
    if began < ended:
        yield Span(began, ended, f"gw-{lane}")

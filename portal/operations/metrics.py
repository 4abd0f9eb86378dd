"""What `/metrics` says: read from the database when asked, so that any process can be asked.

Only what somebody acts on. Counts and instants of gateways are their own reports.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

import plimsoll
from portal.core import clock
from portal.operations import policy, queries
from portal.sync.hub import Hub
from portal.sync.policy import GatewayState
from portal.sync.queries import GatewayRow, get_head, list_gateways


@dataclass(frozen=True)
class Metric:
    """One name with its help, as scrapers and /docs/operating read it."""

    name: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def is_counter(self) -> bool:
        return self.name.endswith("_total")


Value = tuple[tuple[str, ...], float]

BUILD = Metric("plimsoll_build_info", "Always 1; the version that answers.", ("version",))
ALERT = Metric("plimsoll_alert_open", "1 for each open alert.", ("kind", "name"))
LOOKED = Metric("plimsoll_jobs_looked_seconds", "Since the jobs last looked; above 120 none run.")
FAILING = Metric("plimsoll_job_failing_seconds", "Since when a job's runs fail.", ("job",))
REVISION = Metric("plimsoll_sync_revision", "The newest revision of the state.")
RECORDS = Metric("plimsoll_sync_records", "Records in the state.")
EPOCH = Metric(
    "plimsoll_sync_epoch_info", "Always 1; changes when gateways start anew.", ("epoch",)
)
WATCHERS = Metric("plimsoll_sync_watchers", "Open streams of the process that answers.")
PLACES = Metric("plimsoll_sync_places", "Streams that this process takes; beyond, 503.")
GATEWAYS = Metric("plimsoll_gateways", "Enrolled gateways by state.", ("state",))
SILENT = Metric("plimsoll_gateway_silent_seconds", "Since a gateway was last heard.", ("gateway",))
ACKNOWLEDGED = Metric(
    "plimsoll_gateway_acknowledged_revision", "The newest revision that it holds.", ("gateway",)
)
BEHIND = Metric("plimsoll_gateway_behind_revisions", "Revisions that it lacks.", ("gateway",))
LAG = Metric(
    "plimsoll_gateway_lag_seconds",
    "From receiving a commit to holding it, last time.",
    ("gateway",),
)
SPOOL = Metric("plimsoll_gateway_spool_rows", "Rows of usage that wait there.", ("gateway",))
PARKED = Metric(
    "plimsoll_gateway_parked_batches", "Batches of usage that the portal refused.", ("gateway",)
)
STORE = Metric("plimsoll_gateway_store_bytes", "Size of its store on disk.", ("gateway",))
ENTRIES = Metric("plimsoll_gateway_log_entries", "Log entries that it verified.", ("gateway",))
DIVERGED = Metric("plimsoll_gateway_diverged", "1 while a snapshot does not add up.", ("gateway",))
PROBLEM = Metric(
    "plimsoll_gateway_log_problem", "1 while it does not take the log.", ("gateway", "code")
)
BATCHES = Metric(
    "plimsoll_usage_batches_total", "Batches taken of its present start.", ("gateway",)
)
REVOCATIONS = Metric(
    "plimsoll_revocations_unacknowledged", "Revocations over 1 s old that a gateway lacks."
)
REVOCATION = Metric(
    "plimsoll_revocations_unacknowledged_oldest_seconds", "Age of the oldest of them, else 0."
)
MAILS = Metric("plimsoll_outbox_mails", "Mails that wait, tried or not.")
MAIL = Metric("plimsoll_outbox_oldest_seconds", "Age of the oldest of them, else 0.")
GIVEN_UP = Metric("plimsoll_outbox_given_up_mails", "Mails that are tried no more.")
LOG = Metric("plimsoll_log_signed_entries", "Entries of the public log that are signed.")
UNSIGNED = Metric("plimsoll_log_unsigned_entries", "Entries that wait for a signature.")
OLDEST = Metric("plimsoll_log_unsigned_oldest_seconds", "Age of the oldest of them, else 0.")
TROUBLE = Metric("plimsoll_log_trouble", "1 while the signer refuses; why.", ("kind",))

METRICS = (
    *(BUILD, ALERT, LOOKED, FAILING, REVISION, RECORDS, EPOCH, WATCHERS, PLACES, GATEWAYS, SILENT),
    *(ACKNOWLEDGED, BEHIND, LAG, SPOOL, PARKED, STORE, ENTRIES, DIVERGED, PROBLEM, BATCHES),
    *(REVOCATIONS, REVOCATION, MAILS, MAIL, GIVEN_UP, LOG, UNSIGNED, OLDEST, TROUBLE),
)


class PortalCollector(Collector):
    """Reads everything once per scrape."""

    def __init__(self, session: Session, hub: Hub) -> None:
        self._session = session
        self._hub = hub

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """One family for each metric, in the order of METRICS."""
        values = dict(_read(self._session, self._hub))
        for metric in METRICS:
            kind = CounterMetricFamily if metric.is_counter else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in values[metric]:
                family.add_metric(labels, value)
            yield family


def as_text(session: Session, hub: Hub) -> bytes:
    """The text that scrapers read."""
    # Of its own: the library's default registry would add figures of this one process.
    registry = CollectorRegistry()
    registry.register(PortalCollector(session, hub))
    return generate_latest(registry)


def _read(session: Session, hub: Hub) -> Iterator[tuple[Metric, Iterable[Value]]]:
    yield BUILD, [((plimsoll.__version__,), 1)]
    alerts = queries.list_told_alerts(session)
    yield ALERT, [((alert.kind.value, alert.name), 1) for alert in alerts]
    looked_at = queries.get_watch(session).looked_at
    yield LOOKED, [] if looked_at is None else [((), _age(looked_at))]
    yield FAILING, [((job.name,), _age(job.since)) for job in queries.list_failing_jobs(session)]
    head = get_head(session)
    yield REVISION, [((), head.revision)]
    yield RECORDS, [((), head.count)]
    yield EPOCH, [((head.epoch,), 1)]
    yield WATCHERS, [((), hub.watching)]
    yield PLACES, [((), hub.places)]
    yield from _gateways(session, list_gateways(session))
    lacking = queries.get_unacknowledged(session)
    yield REVOCATIONS, [((), lacking.count)]
    yield REVOCATION, [((), _age(lacking.oldest_at))]
    yield from _outbox(session)
    yield from _log(session)


def _gateways(session: Session, rows: list[GatewayRow]) -> Iterator[tuple[Metric, Iterable[Value]]]:
    states = [row.state for row in rows]
    yield GATEWAYS, [((state.value,), states.count(state)) for state in GatewayState]
    heard = [row for row in rows if row.seen_at is not None]
    yield SILENT, [((row.name,), _age(row.seen_at)) for row in heard]
    holding = [row for row in rows if row.acknowledged is not None]
    yield ACKNOWLEDGED, [((row.name,), row.acknowledged or 0) for row in holding]
    yield BEHIND, [((row.name,), row.behind) for row in holding]
    yield LAG, [((name,), value / 1000) for (name,), value in _said(heard, "lag_ms")]
    yield SPOOL, _said(heard, "spool")
    yield PARKED, _said(heard, "parked")
    yield STORE, _said(heard, "store_bytes")
    yield ENTRIES, _said(heard, "log_size")
    yield DIVERGED, [((row.name,), policy.is_diverged(row.health)) for row in heard]
    problems = [(row.name, policy.log_problem(row.health)) for row in heard]
    yield PROBLEM, [((name, code), 1) for name, code in problems if code is not None]
    names = {row.id: row.name for row in rows}
    batches = queries.list_batches(session).items()
    yield BATCHES, [((names[each],), seq) for each, seq in batches if each in names]


def _outbox(session: Session) -> Iterator[tuple[Metric, Iterable[Value]]]:
    outbox = queries.get_outbox(session)
    yield MAILS, [((), outbox.waiting)]
    yield MAIL, [((), _age(outbox.oldest_at))]
    yield GIVEN_UP, [((), queries.count_given_up_mails(session))]


def _log(session: Session) -> Iterator[tuple[Metric, Iterable[Value]]]:
    signing = queries.get_signing(session)
    yield LOG, [((), signing.size)]
    yield UNSIGNED, [((), signing.waiting)]
    yield OLDEST, [((), _age(signing.oldest_at))]
    yield TROUBLE, [] if signing.trouble_kind is None else [((signing.trouble_kind,), 1)]


def _said(rows: list[GatewayRow], name: str) -> list[tuple[tuple[str], float]]:
    """A figure of each gateway's report, where it gave one."""
    found = [(row.name, policy.number(row.health, name)) for row in rows]
    return [((gateway,), value) for gateway, value in found if value is not None]


def _age(at: datetime | None) -> float:
    # A wall clock may step back.
    return 0 if at is None else max(0.0, (clock.now() - at).total_seconds())

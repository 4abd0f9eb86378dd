"""Random lawful histories: acts are proposed without asking, and kept where the rule lets them pass.

What is proposed comes close to what matters: instants at and a second beside other instants and
ends of notice, the same few cells again and again.
"""

from collections import Counter
from random import Random
from typing import Any

from plimsoll.contract import rules
from plimsoll.contract.limits import Cell, Kind
from tests.library.contract import naive
from tests.library.contract.chronicle import (
    BUILD,
    BUILD_HOUR,
    BUILD_OPUS,
    DAY,
    HOUR,
    START,
    START_CELL,
    Chronicle,
    offer,
)
from tests.library.contract.samples import tier

BUILD_HOURLY_TOKENS = Cell("build", "sonnet-5", "input_tokens", Kind.WINDOW, 3600)
BUILD_DAILY_TOKENS = Cell("build", "sonnet-5", "input_tokens", Kind.WINDOW, 86_400)
START_OPUS = Cell("start", "opus-5", "requests", Kind.BUCKET, 60)
CELLS = (
    *(BUILD, BUILD, BUILD, BUILD_HOUR, BUILD_OPUS, START_CELL, START_OPUS),
    *(BUILD_HOURLY_TOKENS, BUILD_DAILY_TOKENS),
)
PAUSES = (0, 0, 1, HOUR, 12 * HOUR, DAY, 3 * DAY, 7 * DAY, 20 * DAY)
NOTICES = (0, 0, 1, HOUR, DAY, 7 * DAY, 25 * DAY, 30 * DAY, 30 * DAY, 31 * DAY, 45 * DAY, 90 * DAY)
PROPOSALS = 40

Log = list[dict[str, Any]]


class Author:
    """Proposes acts on a log, lawful or not."""

    def __init__(self, rng: Random, kept: Counter[str]) -> None:
        self.rng, self.kept = rng, kept
        self.log = Chronicle()
        self.now = 0

    def write(self) -> Log:
        """A whole log."""
        ways = (
            *(self._announce,) * 9,
            *(self._replace,) * 2,
            *(self._act,) * 9,
            self._amend,
            self._policy,
        )
        for _ in range(PROPOSALS):
            self.now += self.rng.choice(PAUSES)
            self.rng.choice(ways)()
        return self.log.entries

    def proposal(self) -> dict[str, Any]:
        """One announcement, release or new time, lawful or not."""
        entry = self._act_entry(("released", "rescheduled")) if self.rng.random() < 0.6 else None
        return entry or self._announcement(self.log)

    def _keep(self, entry: dict[str, Any], log: Chronicle | None = None, kind: str = "") -> bool:
        try:
            (log or self.log).log(entry)
        except rules.RuleBroken:
            return False
        self.kept[kind or entry["body"].get("class") or entry["kind"]] += 1
        return True

    def _instant(self) -> int:
        """An instant at or around one that matters, as an offset."""
        known = naive.edges(naive.changes(self.log.entries))
        ahead = [each - START for each in known if each - START > self.now]
        if ahead and self.rng.random() < 0.5:
            return max(self.now, self.rng.choice(ahead) + self.rng.choice((-1, 0, 0, 1)))
        return max(self.now, self.now + self.rng.choice(NOTICES) - (self.rng.random() < 0.1))

    def _rows(self, more: int) -> dict[Cell, Any]:
        rows: dict[Cell, Any] = {}
        for _ in range(self.rng.choice((1, 1, 2)) + more):
            cell, quota = self.rng.choice(CELLS), self.rng.randint(1, 9) * 1000
            odd = self.rng.random()
            if odd < 0.08:
                rows[cell] = None
            elif odd < 0.25 and cell.kind is Kind.BUCKET:
                rows[cell] = (quota, self.rng.randint(1, 9) * 1000)
            else:
                rows[cell] = quota * (24 if cell is BUILD_DAILY_TOKENS else 1)
        return rows

    def _announce(self) -> None:
        self._keep(self._announcement(self.log))

    def _announcement(self, log: Chronicle) -> dict[str, Any]:
        effective, kind = self._instant(), self.rng.random()
        if kind < 0.2:
            ends = effective + self.rng.choice((1, HOUR, DAY, 40 * DAY))
            entry = log.announcement(
                self.now,
                self._rows(0),
                effective=effective,
                expires=ends,
                **{"class": "temporary_raise"},
            )
        elif kind < 0.4:
            ends = effective + self.rng.choice((1, HOUR, DAY, 3 * DAY, 4 * DAY))
            entry = log.announcement(
                self.now,
                self._rows(0),
                effective=effective,
                expires=ends,
                **{"class": "emergency_cut"},
            )
        else:
            fields = self._terms() if self.rng.random() < 0.25 else {}
            entry = log.announcement(
                self.now, self._rows(0 if fields else 1), effective=effective, **fields
            )
        return _without_standing(entry)

    def _terms(self) -> dict[str, Any]:
        kind = self.rng.randrange(4)
        if kind == 0:
            amounts = {"build": {"output_tokens": self.rng.choice((1000, 4096, 8000))}}
            return {"counting": {"reserve": amounts, "texts": {}}}
        if kind == 1:
            build = tier("build", rank=2, entry="request", keys_max=self.rng.choice((9, 25, None)))
            return {"tiers": [build]}
        if kind == 2:
            return {"offers": [offer(("start", "opus-5"))]}
        return {"offers": [offer(("build", "opus-5"), replacement=("build", "sonnet-5"))]}

    def _replace(self) -> None:
        announced = self._numbers("announced")
        if not announced:
            return
        twin = self.log.twin()
        for number in self.rng.sample(announced, 1):
            if not self._keep_on(twin, number):
                return
        if self._keep(self._announcement(twin), twin, "replaced"):
            self.log = twin

    def _keep_on(self, twin: Chronicle, number: int) -> bool:
        try:
            twin.withdraw(number, at=self.now, replaced_by=twin.next_number)
        except rules.RuleBroken:
            return False
        return True

    def _act(self) -> None:
        entry = self._act_entry(("held", "released", "released", "rescheduled", "withdrawn"))
        if entry is not None:
            self._keep(entry)

    def _amend(self) -> None:
        number = self.rng.randrange(1, self.log.next_number)
        self._keep(self.log.act("amended", number, at=self.now, title=f"Words of {self.now}"))

    def _act_entry(self, kinds: tuple[str, ...]) -> dict[str, Any] | None:
        kind = self.rng.choice(kinds)
        numbers = self._numbers("held" if kind == "released" else "announced")
        if not numbers:
            return None
        number = self.rng.choice(numbers)
        times: dict[str, int | None] = {}
        if kind in {"released", "rescheduled"}:
            lasting = self.log.history.changes[number].is_lasting
            effective = self._instant()
            ends = None if lasting else effective + self.rng.choice((HOUR, DAY, 3 * DAY))
            times = {"effective_at": effective, "expires_at": ends}
        return self.log.act(kind, number, at=self.now, **times)

    def _numbers(self, status: str) -> list[int]:
        """Changes that an act may concern, mostly of those that lie ahead."""
        known = naive.changes(self.log.entries)
        found = [
            change.number
            for change in known.values()
            if change.status == status
            and (status == "held" or change.effective > START + self.now or self._is_odd(change))
        ]
        return found or [1]

    def _is_odd(self, change: naive.Change) -> bool:
        return change.layer == "emergency_cut" or self.rng.random() < 0.05

    def _policy(self) -> None:
        days = self.rng.choice((14, 30, 40))
        effective = self.now + self.rng.choice((0, 30 * DAY, 40 * DAY, 90 * DAY))
        self._keep(
            self.log.policy_changed(self.now, effective=effective, tightening_seconds=days * DAY)
        )


def _without_standing(entry: dict[str, Any]) -> dict[str, Any]:
    """Without rows that change nothing, as any author would send it."""
    rows = [row for row in entry["body"]["rows"] if row["from"] != row["to"]]
    return {**entry, "body": {**entry["body"], "rows": rows}}


def histories(seed: int, many: int) -> tuple[list[Log], Counter[str]]:
    """So many random logs, and how often each kind of act was kept."""
    kept: Counter[str] = Counter()
    rng = Random(seed)  # noqa: S311 -- no secret
    return [Author(rng, kept).write() for _ in range(many)], kept

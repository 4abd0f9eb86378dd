"""A log that grows act by act under the rule; instants are seconds after 2026-11-23 05:00 UTC.

The first change is a day older. What an announcement starts `from` is worked out by `naive`, not by
the code under test.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from plimsoll.contract import rules
from plimsoll.contract.announcement import hash_reason
from plimsoll.contract.canonical import encode
from plimsoll.contract.fold import Policy, fold
from plimsoll.contract.history import History, read
from plimsoll.contract.limits import Cell, Kind
from tests.library.contract import naive
from tests.library.contract.samples import opened, tier

START = 1_795_410_000
HOUR, DAY = 3_600, 86_400
REASON = hash_reason("We have measured again.")
BUILD = Cell("build", "sonnet-5", "requests", Kind.BUCKET, 60)
BUILD_HOUR = Cell("build", "sonnet-5", "requests", Kind.WINDOW, 3600)
BUILD_MINUTE = Cell("build", "sonnet-5", "requests", Kind.WINDOW, 60)
BUILD_OPUS = Cell("build", "opus-5", "requests", Kind.BUCKET, 60)
SPEND = Cell("build", "*", "spend_microusd", Kind.WINDOW, "month")
START_CELL = Cell("start", "sonnet-5", "requests", Kind.BUCKET, 60)
OPENING = {BUILD: 5000, BUILD_OPUS: 3000, SPEND: 10**9, START_CELL: 1000}
OFFERS = (("build", "opus-5"), ("build", "sonnet-5"), ("start", "sonnet-5"))
TEXTS = {"requests": "Each admitted request counts one."}
RESERVE = {"build": {"output_tokens": 4096}, "start": {"output_tokens": 4096}}

Rows = Mapping[Cell, int | tuple[int, int] | None] | list[dict[str, Any]]


def values(cell: Cell, given: int | tuple[int, int] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    quota, burst = given if isinstance(given, tuple) else (given, given)
    return {"quota": quota, "burst": burst if cell.kind is Kind.BUCKET else None}


def offer(of: tuple[str, str], *, replacement: tuple[str, str] | None = None) -> dict[str, Any]:
    """An offer; with a replacement, its withdrawal."""
    instead = replacement and {"tier": replacement[0], "model": replacement[1]}
    return {
        "tier": of[0],
        "model": of[1],
        "offered": replacement is None,
        "replacement": instead,
    }


class Chronicle:
    """The entries so far, and their history as the rule reads it."""

    def __init__(self, notice: Mapping[str, int] | None = None) -> None:
        self.entries: list[dict[str, Any]] = []
        self.history = History()
        first = opened(at=START - DAY)
        first["body"]["notice"].update(notice or {})
        self.log(first)
        self.log(
            self.announcement(
                -DAY,
                rows=OPENING,
                title="Our limits",
                models=[{"slug": each, "name": name} for each, name in MODELS.items()],
                tiers=[tier("build", rank=2, entry="request"), tier("start")],
                offers=[offer(each) for each in OFFERS],
                counting={"reserve": RESERVE, "texts": TEXTS},
            )
        )

    @property
    def next_number(self) -> int:
        return 1 + sum(entry["kind"] == "change.announced" for entry in self.entries)

    # ---- proposing ----

    def entry(self, kind: str, body: Mapping[str, Any], at: int) -> dict[str, Any]:
        return {"at": START + at, "seq": len(self.entries), "kind": kind, "body": dict(body)}

    def announcement(
        self,
        at: int,
        rows: Rows | None = None,
        *,
        effective: int | None = None,
        expires: int | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """The entry of a change published at `at`; `fields` are those of its body."""
        effective_at = START + (at if effective is None else effective)
        body = {
            "change": self.next_number,
            "id": f"chg_{self.next_number:026d}",
            "class": "lasting",
            "title": "New limits",
            "reason_sha256": REASON,
            "effective_at": effective_at,
            "expires_at": None if expires is None else START + expires,
            "models": [],
            "tiers": [],
            "offers": [],
            "counting": {"reserve": {}, "texts": {}},
            **fields,
        }
        body["rows"] = rows if isinstance(rows, list) else self._rows(rows or {}, body)
        for name in ("models", "tiers", "offers", "rows"):
            body[name] = sorted(body[name], key=encode)
        return self.entry("change.announced", body, at)

    def _rows(self, rows: Rows, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        before = from_layer(naive.changes(self.entries), body)
        return [
            {**cell.to_wire(), "from": _wire(before, cell), "to": values(cell, given)}
            for cell, given in rows.items()
        ]

    # ---- logging ----

    def log(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Append an entry that the rule lets pass."""
        rules.check_next(self.history, entry, entry["at"])
        self.entries.append(dict(entry))
        self.history.append(entry)
        return dict(entry)

    def refused(self, entry: Mapping[str, Any]) -> rules.RuleBroken:
        """Why the rule does not let an entry pass; nothing is logged."""
        with pytest.raises(rules.RuleBroken) as refusal:
            rules.check(self.entries, entry, entry["at"])
        with pytest.raises(rules.RuleBroken) as again:
            rules.check_next(self.history, entry, entry["at"])
        assert (again.value.code, again.value.text) == (refusal.value.code, refusal.value.text)
        assert again.value.earliest == refusal.value.earliest
        return refusal.value

    def short_of_notice(self, entry: Mapping[str, Any]) -> rules.RuleBroken:
        """The refusal of an entry that comes too soon, seen to be right about the earliest instant."""
        refused = self.refused(entry)
        assert refused.code is rules.RuleCode.NOTICE
        return refused

    def announce(self, at: int, rows: Rows | None = None, **fields: Any) -> int:
        """Publish a change; its number."""
        number: int = self.log(self.announcement(at, rows, **fields))["body"]["change"]
        return number

    def act(self, kind: str, number: int, *, at: int, **fields: Any) -> dict[str, Any]:
        """The entry of a later act: held, released, rescheduled, withdrawn, amended."""
        given = {**_DEFAULTS[kind], **fields}
        for name in ("effective_at", "expires_at"):
            if given.get(name) is not None:
                given[name] += START
        return self.entry(f"change.{kind}", {"change": number, **given}, at)

    def hold(self, number: int, *, at: int) -> None:
        self.log(self.act("held", number, at=at))

    def release(self, number: int, *, at: int, effective_at: int) -> None:
        self.log(self.act("released", number, at=at, effective_at=effective_at))

    def reschedule(self, number: int, *, at: int, effective_at: int) -> None:
        self.log(self.act("rescheduled", number, at=at, effective_at=effective_at))

    def withdraw(self, number: int, *, at: int, replaced_by: int | None = None) -> None:
        self.log(self.act("withdrawn", number, at=at, replaced_by=replaced_by))

    def replacing(self, numbers: Iterable[int], at: int) -> "Chronicle":
        """A twin in which those changes were just withdrawn for the next one."""
        twin = self.twin()
        for number in numbers:
            twin.withdraw(number, at=at, replaced_by=self.next_number)
        return twin

    def policy_changed(self, at: int, *, effective: int, **notice: int) -> dict[str, Any]:
        """The entry of another notice policy; fields that are not named stay as they are."""
        changed = {**self.history.notice_at(START + at), **notice}
        fields = {"effective_at": START + effective, "notice": changed, "reason_sha256": REASON}
        return self.entry("policy.changed", fields, at)

    def twin(self) -> "Chronicle":
        """A copy to try something on."""
        twin = copy.copy(self)
        twin.entries, twin.history = list(self.entries), read(self.entries)
        return twin

    # ---- asking ----

    def policy(self, at: int, known_at: int | None = None) -> Policy:
        return fold(self.entries, START + at, None if known_at is None else START + known_at)

    def quota(self, at: int, cell: Cell = BUILD, known_at: int | None = None) -> int | None:
        """The quota of a cell at `at`, as known at `known_at`."""
        held = self.policy(at, known_at).limits.get(cell)
        return None if held is None else held.limit.quota

    def quotas(self, *instants: int, cell: Cell = BUILD) -> list[int | None]:
        return [self.quota(at, cell) for at in instants]


def from_layer(known: Mapping[int, naive.Change], body: Mapping[str, Any]) -> naive.Layer:
    """The layer that a change starts from, at its place."""
    effective = body["effective_at"]
    if body["class"] == "lasting":
        return naive.lasting(known, effective, before=(effective, body["change"]))
    if body["class"] == "temporary_raise":
        return naive.lasting(known, effective)
    without_cuts = {
        number: change for number, change in known.items() if change.layer != "emergency_cut"
    }
    return naive.whole(without_cuts, effective)


def _wire(layer: naive.Layer, cell: Cell) -> dict[str, Any] | None:
    stands = layer.limits.get(naive.cell_of(cell.to_wire()))
    return None if stands is None else {"quota": stands[0], "burst": stands[1]}


MODELS = {"opus-5": "Opus 5", "sonnet-5": "Sonnet 5"}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "held": {"reason": "We look again."},
    "released": {"effective_at": None, "expires_at": None},
    "rescheduled": {"effective_at": None, "expires_at": None},
    "withdrawn": {"reason": "It is not needed.", "replaced_by": None},
    "amended": {"title": "Newer words", "reason_sha256": REASON},
}

"""What a change does, in words: one sentence and one line of a table for each thing that it touches.

Everything comes from the contract's `Effect`, computed on the record; nothing here is typed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from plimsoll.contract.direction import Direction
from plimsoll.contract.effect import Effect, Item
from plimsoll.contract.fold import Policy
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import ALL_MODELS, METRICS, Limit
from plimsoll.contract.terms import REQUIREMENTS, Tier
from portal.changelog import words
from portal.changelog.table import ALL_MODELS_TEXT, page_order

_Layer: TypeAlias = Policy | Lasting

NEW = "(new)"
REMOVED = "(removed)"
OFFERED = "offered"
# Longer texts are not repeated in a sentence; the table has them.
SENTENCE_MAX = 120

_DIRECTIONS = {
    Direction.LOOSENING: "Loosens",
    Direction.TIGHTENING: "Tightens",
    Direction.MIXED: "Mixed",
    Direction.NEUTRAL: "Neutral",
}
_SUMMARIES = {
    Direction.LOOSENING: "Nothing that is allowed before it is refused after it.",
    Direction.TIGHTENING: "Some of what is allowed before it is refused after it.",
    Direction.MIXED: "Some limits grow and others shrink, which counts as a tightening.",
    Direction.NEUTRAL: "Nobody gets more or less by it.",
}
_KINDS = ("model", "tier", "offer", "limit", "reserve", "text")


@dataclass(frozen=True)
class Line:
    """One thing that changes: "Sonnet 5 · requests per minute", "5,000", "4,000" and the difference.

    `tier` is the published name, empty where the thing belongs to no tier; `direction` is a word
    for people, `direction_code` the contract's.
    """

    tier: str
    what: str
    before: str
    after: str
    percent: str
    direction: str
    direction_code: str

    @property
    def sentence(self) -> str:
        """The line as one sentence, without the full stop."""
        subject = " · ".join(part for part in (self.tier, self.what) if part)
        if not self.before:
            return f"{subject}: {_short(self.after)} {NEW}"
        if not self.after:
            gone = f"no longer {OFFERED}" if self.before == OFFERED else _short(self.before)
            return f"{subject}: {gone} {REMOVED}"
        note = f" ({self.percent})" if self.percent else ""
        return f"{subject}: {_short(self.before)} → {_short(self.after)}{note}"


@dataclass(frozen=True)
class Diff:
    """All that a change does. `direction` is a word for people, `direction_code` the contract's."""

    lines: tuple[Line, ...]
    summary: str
    direction: str
    direction_code: str

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(line.sentence for line in self.lines)

    @property
    def by_tier(self) -> Mapping[str, tuple[Line, ...]]:
        """The lines under the names of their tiers, in the order of the published table."""
        tiers = dict.fromkeys(line.tier for line in self.lines)
        return {tier: tuple(line for line in self.lines if line.tier == tier) for tier in tiers}


def diff_of(effect: Effect) -> Diff:
    """An effect in words."""
    return Diff(
        lines=lines_of(effect.items, (effect.before, effect.after)),
        summary=_summary(effect),
        direction=direction_word(effect.direction),
        direction_code=effect.direction.value,
    )


def lines_of(items: Iterable[Item], layers: tuple[_Layer, _Layer]) -> tuple[Line, ...]:
    """Items in words, named as in the second of the layers, else as in the first."""
    names = _Names(*layers)
    return tuple(_LINES[item.kind](item, names) for item in sorted(items, key=names.order))


def direction_word(direction: Direction) -> str:
    """A direction for people: "Tightens"."""
    return _DIRECTIONS[direction]


def _summary(effect: Effect) -> str:
    said = _SUMMARIES[effect.direction]
    if effect.is_retirement:
        return f"It retires what was offered. {said}"
    return said


class _Names:
    """Published names of what an effect touches, as they are after it, else before."""

    def __init__(self, before: _Layer, after: _Layer) -> None:
        self._tiers = {**before.tiers, **after.tiers}
        self._models = {**before.models, **after.models}

    def tier(self, slug: str) -> str:
        tier = self._tiers.get(slug)
        return tier.name if tier else slug

    def model(self, slug: str) -> str:
        if slug == ALL_MODELS:
            return ALL_MODELS_TEXT
        model = self._models.get(slug)
        return model.name if model else slug

    def order(self, item: Item) -> tuple[Any, ...]:
        """Models first, then by tier from the lowest, then the counting texts of all."""
        tier, kind = self._tiers.get(item.tier), _KINDS.index(item.kind)
        place = (1, tier.rank, item.tier) if tier else (2 * bool(kind), 0, item.tier)
        cell = page_order(item.cell) if item.cell else ()
        return *place, kind, cell, item.model, item.metric


def _line(item: Item, names: _Names, what: str, *, steps: Iterable[str]) -> Line:
    before, after, *rest = steps
    return Line(
        tier=names.tier(item.tier),
        what=what,
        before=before,
        after=after,
        percent=next(iter(rest), ""),
        direction=direction_word(item.direction),
        direction_code=item.direction.value,
    )


def _limit_line(item: Item, names: _Names) -> Line:
    what = f"{names.model(item.model)} · {words.measure(item.cell)}" if item.cell else ""
    before, after = item.before, item.after
    percent = ""
    if before is not None and after is not None and before.quota != after.quota:
        percent = words.percent(before.quota, after.quota)
    return _line(item, names, what, steps=(_limit(before), _limit(after), percent))


def _limit(limit: Limit | None) -> str:
    if limit is None:
        return ""
    shown = words.amount(limit.cell.metric, limit.quota)
    extra = words.burst(limit)
    return f"{shown}, {extra}" if extra else shown


def _offer_line(item: Item, names: _Names) -> Line:
    before = OFFERED if item.before else ""
    after = OFFERED if item.after else ""
    return _line(item, names, names.model(item.model), steps=(before, after))


def _tier_line(item: Item, names: _Names) -> Line:
    before, after = _tier_words(item.before), _tier_words(item.after)
    changed = [term for term in {**before, **after} if before.get(term) != after.get(term)]
    shown = [
        "; ".join(f"{term}: {side[term]}" for term in changed if side.get(term))
        for side in (before, after)
    ]
    return _line(item, names, "the tier itself", steps=shown)


def _tier_words(tier: Tier | None) -> dict[str, str]:
    if tier is None:
        return {}
    return {
        "name": tier.name,
        "place": f"{tier.rank:,}",
        "entry": words.entry(tier.entry).lower(),
        "requirements": words.requirements(_in_order(tier.requirements)),
        "live keys": words.keys(tier.keys_max),
        "description": tier.description,
    }


def _in_order(wanted: Mapping[str, int | bool]) -> dict[str, int | bool]:
    """Requirements in one order, so that equal ones read alike."""
    return {name: wanted[name] for name in REQUIREMENTS if name in wanted}


def _model_line(item: Item, names: _Names) -> Line:
    steps = tuple("" if side is None else side.name for side in (item.before, item.after))
    return _line(item, names, f"the model {item.model}", steps=steps)


def _reserve_line(item: Item, names: _Names) -> Line:
    what = f"reserve of {METRICS[item.metric].title}, where a request names none"
    before, after = item.before or 0, item.after or 0
    percent = words.percent(before, after) if before else ""
    return _line(item, names, what, steps=(f"{before:,}", f"{after:,}", percent))


def _text_line(item: Item, names: _Names) -> Line:
    what = f"how {METRICS[item.metric].title} count"
    return _line(item, names, what, steps=(item.before or "", item.after or ""))


def _short(text: str) -> str:
    """A text as it stands in a sentence: in quotes and cut, where it is a text of its own."""
    return text if len(text) <= SENTENCE_MAX else f"{text[: SENTENCE_MAX - 1].rstrip()}…"


_LINES: dict[str, Callable[[Item, _Names], Line]] = {
    "limit": _limit_line,
    "offer": _offer_line,
    "tier": _tier_line,
    "model": _model_line,
    "reserve": _reserve_line,
    "text": _text_line,
}

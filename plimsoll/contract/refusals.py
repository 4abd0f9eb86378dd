"""What a refusal of the notice rule says: what is wrong, and what would be right."""

from collections.abc import Iterable
from datetime import UTC, datetime

from plimsoll.contract import direction
from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import ALL_MODELS, METRICS, Limit
from plimsoll.contract.parts import Part, PartKind, Usable
from plimsoll.contract.terms import ENTRIES, Tier
from plimsoll.contract.timeline import Shortage, Step
from plimsoll.contract.wording import amount, duration, measure

ALL_MODELS_TEXT = "all models"


def instant(at: int) -> str:
    """A Unix second as people read it: "2026-12-23 05:00 UTC", with seconds where there are some."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC" if moment.second else "%Y-%m-%d %H:%M UTC")


def shortage_text(shortage: Shortage, earliest: int | None) -> str:
    """The refusal of an act that would leave `shortage`; `earliest` would be lawful."""
    step, part = shortage.step, shortage.part
    said = _what(step, part)
    if not shortage.own:
        others = ", ".join(f"change {change.number}" for change in step.changes)
        said = f"After this, {others} {said} on {instant(step.at)}"
    else:
        said = f"This {said}"
    promised = promise(shortage.notice)
    if earliest is None:
        return f"{said}. {promised}."
    return f"{said}. {promised}; the earliest effective time is {instant(earliest)}."


def promise(notice: int) -> str:
    """ "30 days' notice are promised", for seconds of notice."""
    long = duration(notice)
    return f"{long}' notice are promised" if long.endswith("s") else f"{long}'s notice is promised"


def names(layer: Lasting, part: Part) -> str:
    """What a part is called: "Build · Sonnet 5"."""
    tier = layer.tiers.get(part.tier)
    model = layer.models.get(part.model)
    called = [
        tier.name if tier else part.tier,
        ALL_MODELS_TEXT if part.model == ALL_MODELS else model.name if model else part.model,
    ]
    return " · ".join(name for name in called if name)


def _what(step: Step, part: Part) -> str:
    name = names(step.after, part)
    before, after = step.values(part)
    if part.kind is PartKind.LIMIT:
        return _limit(name, before, after)
    if part.kind is PartKind.OFFER:
        tier, model = names(step.after, Part(part.kind, part.tier)), step.after.models[part.model]
        return f"withdraws {model.name} from {tier}"
    if part.kind is PartKind.TIER:
        return _tier(name, before, after)
    title = METRICS[part.metric].title
    if part.kind is PartKind.RESERVE:
        amounts = f"from {before.value:,} to {after.value:,}"
        return f"raises the reserve of {title} on {name} {amounts}"
    return f"changes the counting rule of {title}"


def _limit(name: str, before: Usable, after: Usable) -> str:
    old: frozenset[Limit] = before.value
    new = next(each for each in _sorted(after.value) if direction.tightens(old, [each]))
    called = f"{name} · {measure(new.cell)}"
    quota = amount(new.cell.metric, new.quota)
    was = next((each for each in old if each.cell == new.cell), None)
    if was is None:
        return f"limits {called} to {quota}, where no such limit was"
    if was.quota > new.quota:
        return f"lowers {called} from {amount(was.cell.metric, was.quota)} to {quota}"
    # Where the quota stands or grows, it is what goes in one go that fell.
    burst = f"from {was.burst or 0:,} to {new.burst or 0:,}"
    return f"lowers the burst of {called} {burst}"


def _sorted(limits: Iterable[Limit]) -> list[Limit]:
    return sorted(limits, key=lambda limit: limit.cell.sort_key)


def _tier(name: str, before: Tier, after: Tier) -> str:
    if after.keys_max is not None and (before.keys_max is None or after.keys_max < before.keys_max):
        was = "no maximum" if before.keys_max is None else f"{before.keys_max:,}"
        return f"lowers the number of keys on {name} from {was} to {after.keys_max:,}"
    if ENTRIES.index(after.entry) > ENTRIES.index(before.entry):
        return f"makes the way onto {name} stricter"
    return f"requires more for {name}"

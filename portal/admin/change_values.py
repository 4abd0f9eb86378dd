"""The editor's inputs as plain texts by name: what stands in them, and what a change file makes of them.

A draft is the content of a change file. Only an input that differs from what is published becomes
part of it, so that a draft says what its author touched and nothing else.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import METRICS, Cell, Counted, Kind, Limit
from plimsoll.contract.terms import REQUIREMENTS, Tier

Values = Mapping[str, str]
Content = dict[str, Any]

OFFERED, NOT_OFFERED = "offered", "no"
YES, NO = "yes", "no"
NO_PERIOD = ""
RESERVED = [info.name for info in METRICS.values() if info.counted is Counted.RESERVED]
LIMIT_FIELDS = ("tier", "model", "metric", "kind", "period", "quota", "burst")
TIER_FIELDS = ("name", "rank", "entry", "keys_max", "description", *REQUIREMENTS)
# More than anybody adds between two savings; each of them is an input on the page.
ADDED_MAX = 60

_NUMBER = re.compile(r"\d{1,16}")
_GROUPED = re.compile(r"\d[\d,\s]*")
_WHOLE = "Give a whole number, such as 4,000."


@dataclass
class Reading:
    """What was read from the inputs: parts of a change file, and messages by the input's name."""

    content: Content
    errors: dict[str, str] = field(default_factory=dict)

    def number(self, name: str, text: str) -> int | None:
        """A whole number, grouped or not; None for nothing. A bad one is noted."""
        digits = re.sub(r"[,\s]", "", text)
        if not digits:
            return None
        if not _NUMBER.fullmatch(digits):
            self.errors[name] = _WHOLE
            return None
        return int(digits)

    def needed(self, name: str, text: str) -> int:
        """A whole number that must be there."""
        found = self.number(name, text)
        if found is None:
            self.errors.setdefault(name, _WHOLE)
        return found or 0


# ---- what stands in the inputs ----


def published_values(base: Lasting) -> dict[str, str]:
    """Every input as it is published."""
    values: dict[str, str] = {}
    for cell, held in base.limits.items():
        values.update(_limit_values(cell, held.limit))
    for tier in base.tiers.values():
        values.update(_tier_values(f"tier:{tier.slug}", tier.to_wire()))
        for metric in RESERVED:
            amount = base.reserve.get(tier.slug, {}).get(metric)
            values[f"reserve:{tier.slug}:{metric}"] = grouped(amount)
        for model in base.models:
            is_offered = (tier.slug, model) in base.offers
            values[f"offer:{tier.slug}:{model}"] = OFFERED if is_offered else NOT_OFFERED
    values.update((f"model:{model.slug}", model.name) for model in base.models.values())
    values.update((f"text:{metric}", base.texts.get(metric, "")) for metric in METRICS)
    return values


def draft_values(content: Mapping[str, Any], base: Lasting) -> dict[str, str]:
    """Every input with what the draft says instead of what is published."""
    values, by_cell = published_values(base), {_cell_key(cell): cell for cell in base.limits}
    added = []
    for row in content.get("rows", []):
        cell = by_cell.get(_row_key(row))
        if cell is None:
            added.append(row)
        else:
            values.update(_row_values(cell, row))
    for index, row in enumerate(added):
        values.update(_added_values(f"add:{index}", row))
    for offer in content.get("offers", []):
        values[f"offer:{offer['tier']}:{offer['model']}"] = _offer_value(offer)
    values.update(_term_values(content, base))
    return values


def _term_values(content: Mapping[str, Any], base: Lasting) -> Iterator[tuple[str, str]]:
    counting = content.get("counting", {})
    for tier, amounts in counting.get("reserve", {}).items():
        yield from ((f"reserve:{tier}:{metric}", grouped(each)) for metric, each in amounts.items())
    for metric, text in counting.get("texts", {}).items():
        yield f"text:{metric}", text
    fresh = 0
    for model in content.get("models", []):
        if model["slug"] in base.models:
            yield f"model:{model['slug']}", model["name"]
        else:
            yield f"newmodel:{fresh}:slug", model["slug"]
            yield f"newmodel:{fresh}:name", model["name"]
            fresh += 1
    fresh = 0
    for tier in content.get("tiers", []):
        known = tier["slug"] in base.tiers
        prefix = f"tier:{tier['slug']}" if known else f"newtier:{fresh}"
        yield from _tier_values(prefix, tier).items()
        if not known:
            yield f"newtier:{fresh}:slug", tier["slug"]
            fresh += 1


def grouped(number: int | None) -> str:
    """A number as it stands in an input: "4,000", empty for none."""
    return "" if number is None else f"{number:,}"


def _limit_values(cell: Cell, limit: Limit) -> dict[str, str]:
    values = {f"quota:{cell.name}": grouped(limit.quota)}
    if cell.kind is Kind.BUCKET:
        # Empty means "as the quota", so that who changes the quota changes both.
        own = limit.burst if limit.burst != limit.quota else None
        values[f"burst:{cell.name}"] = grouped(own)
    return values


def _row_values(cell: Cell, row: Mapping[str, Any]) -> dict[str, str]:
    values = {f"quota:{cell.name}": grouped(row["quota"])}
    if cell.kind is Kind.BUCKET:
        burst = row.get("burst")
        values[f"burst:{cell.name}"] = grouped(None if burst == row["quota"] else burst)
    return values


def _added_values(prefix: str, row: Mapping[str, Any]) -> dict[str, str]:
    period = row.get("period")
    texts = {name: str(row[name]) for name in ("tier", "model", "metric", "kind")}
    texts["period"] = NO_PERIOD if period is None else str(period)
    texts["quota"], texts["burst"] = grouped(row["quota"]), grouped(row.get("burst"))
    return {f"{prefix}:{name}": text for name, text in texts.items()}


def _tier_values(prefix: str, tier: Mapping[str, Any]) -> dict[str, str]:
    values = {f"{prefix}:{name}": str(tier[name]) for name in ("name", "entry", "description")}
    values[f"{prefix}:rank"] = grouped(tier["rank"])
    values[f"{prefix}:keys_max"] = grouped(tier["keys_max"])
    for name, kind in REQUIREMENTS.items():
        wanted = tier["requirements"].get(name)
        text = (YES if wanted else NO) if kind is bool else grouped(wanted or None)
        values[f"{prefix}:{name}"] = text
    return values


def _offer_value(offer: Mapping[str, Any]) -> str:
    if offer.get("offered", True):
        return OFFERED
    replacement = offer["replacement"]
    return f"{replacement['tier']}/{replacement['model']}"


# ---- what they make ----


def read_values(values: Values, base: Lasting) -> Reading:
    """The parts of a change file that the inputs differ by from what is published."""
    published, reading = published_values(base), Reading({})
    touched = {
        name: text
        for name, text in values.items()
        if name in published and _tidy(text) != _tidy(published[name])
    }
    content = reading.content
    content["models"] = [*_models(touched, base), *_new_models(values)]
    content["tiers"] = [
        *_tiers(reading, values, touched=touched, base=base),
        *_new_tiers(reading, values),
    ]
    content["rows"] = [
        *_rows(reading, values, touched=touched, base=base),
        *_added(reading, values),
    ]
    content["offers"] = list(_offers(values, content, base=base))
    content["counting"] = {
        "reserve": _reserves(reading, values, base=base),
        "texts": {
            metric: touched[f"text:{metric}"] for metric in METRICS if f"text:{metric}" in touched
        },
    }
    return reading


def _tidy(text: str) -> str:
    """A text as it is compared: "5,000" and "5000" are the same number."""
    plain = text.replace("\r\n", "\n").strip()
    return re.sub(r"[,\s]", "", plain) if _GROUPED.fullmatch(plain) else plain


def _models(touched: Values, base: Lasting) -> list[Content]:
    return [
        {"slug": slug, "name": touched[f"model:{slug}"]}
        for slug in base.models
        if f"model:{slug}" in touched
    ]


def _new_models(values: Values) -> list[Content]:
    found = (
        {"slug": values[prefix + "slug"].strip(), "name": values.get(prefix + "name", "")}
        for prefix in _prefixes(values, "newmodel", "slug")
    )
    return [model for model in found if model["slug"]]


def _tiers(
    reading: Reading, values: Values, *, touched: Values, base: Lasting
) -> Iterator[Content]:
    for slug, tier in base.tiers.items():
        prefix = f"tier:{slug}"
        if any(f"{prefix}:{name}" in touched for name in TIER_FIELDS):
            published = _tier_values(prefix, tier.to_wire())
            yield _tier(reading, {**published, **values}, prefix, slug=slug, was=tier)


def _new_tiers(reading: Reading, values: Values) -> Iterator[Content]:
    for found in _prefixes(values, "newtier", "slug"):
        prefix, slug = found.removesuffix(":"), values[found + "slug"].strip()
        if slug:
            yield _tier(reading, values, prefix, slug=slug)


def _tier(
    reading: Reading, values: Values, prefix: str, *, slug: str, was: Tier | None = None
) -> Content:
    texts = {name: values.get(f"{prefix}:{name}", "").strip() for name in TIER_FIELDS}
    wanted = {name: _requirement(reading, f"{prefix}:{name}", texts[name]) for name in REQUIREMENTS}
    # What is not required is not named, unless it was named so before.
    known = was.requirements if was else {}
    return {
        "slug": slug,
        "name": texts["name"],
        "rank": reading.needed(f"{prefix}:rank", texts["rank"]),
        "entry": texts["entry"],
        "description": texts["description"],
        "requirements": {name: each for name, each in wanted.items() if each or name in known},
        "keys_max": reading.number(f"{prefix}:keys_max", texts["keys_max"]),
    }


def _requirement(reading: Reading, name: str, text: str) -> int | bool:
    if REQUIREMENTS[name.rpartition(":")[2]] is bool:
        return text == YES
    return reading.number(name, text) or 0


def _rows(reading: Reading, values: Values, *, touched: Values, base: Lasting) -> Iterator[Content]:
    for cell in sorted(base.limits):
        quota, burst = f"quota:{cell.name}", f"burst:{cell.name}"
        if quota not in touched and burst not in touched:
            continue
        published = _limit_values(cell, base.limits[cell].limit)
        row = _identity(cell)
        row["quota"] = reading.number(quota, values.get(quota, published[quota]))
        own = reading.number(burst, values.get(burst, published.get(burst, "")))
        # No quota means no limit, and what is not there has no burst.
        yield row if own is None or row["quota"] is None else {**row, "burst": own}


def _added(reading: Reading, values: Values) -> Iterator[Content]:
    for prefix in _prefixes(values, "add", "quota"):
        texts = {name: values.get(prefix + name, "").strip() for name in LIMIT_FIELDS}
        if not texts["quota"]:
            continue
        row: Content = {name: texts[name] for name in ("tier", "model", "metric", "kind")}
        if texts["period"] != NO_PERIOD:
            row["period"] = int(texts["period"]) if texts["period"].isdecimal() else texts["period"]
        row["quota"] = reading.needed(prefix + "quota", texts["quota"])
        own = reading.number(prefix + "burst", texts["burst"])
        yield row if own is None else {**row, "burst": own}


def _offers(values: Values, content: Content, *, base: Lasting) -> Iterator[Content]:
    tiers = [*base.tiers, *(tier["slug"] for tier in content["tiers"])]
    models = [*base.models, *(model["slug"] for model in content["models"])]
    for tier in dict.fromkeys(tiers):
        for model in dict.fromkeys(models):
            was = OFFERED if (tier, model) in base.offers else NOT_OFFERED
            chosen = values.get(f"offer:{tier}:{model}", was)
            if chosen != was:
                yield _offer(tier, model, chosen)


def _offer(tier: str, model: str, chosen: str) -> Content:
    offer: Content = {"tier": tier, "model": model}
    if chosen == OFFERED:
        return offer
    other, _, replacing = chosen.partition("/")
    return {**offer, "offered": False, "replacement": {"tier": other, "model": replacing}}


def _reserves(reading: Reading, values: Values, *, base: Lasting) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for tier in [*base.tiers, *(tier["slug"] for tier in reading.content["tiers"])]:
        for metric in RESERVED:
            name, was = f"reserve:{tier}:{metric}", base.reserve.get(tier, {}).get(metric)
            amount = reading.number(name, values.get(name, grouped(was)))
            if amount is None and was is not None and name not in reading.errors:
                reading.errors[name] = "A reserve can be 0, but it cannot be taken back."
            elif amount is not None and amount != was:
                found.setdefault(tier, {})[metric] = amount
    return found


def _prefixes(values: Values, kind: str, name: str) -> list[str]:
    """`add:0:`, `add:1:` … as far as `name` was sent with them."""
    prefixes = (f"{kind}:{index}:" for index in range(ADDED_MAX))
    return [prefix for prefix in prefixes if prefix + name in values]


def _identity(cell: Cell) -> Content:
    fields = cell.to_wire()
    return {name: value for name, value in fields.items() if value is not None}


_Key = tuple[str, str, str, str, int | str | None]


def _cell_key(cell: Cell) -> _Key:
    return cell.tier, cell.model, cell.metric, cell.kind.value, cell.period


def _row_key(row: Mapping[str, Any]) -> _Key:
    return row["tier"], row["model"], row["metric"], row["kind"], row.get("period")

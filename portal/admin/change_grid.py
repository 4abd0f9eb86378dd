"""The editor of a draft: the published table with an input for each value, in the order of its pages."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from plimsoll.contract.lasting import Lasting
from plimsoll.contract.limits import ALL_MODELS, METRICS, Cell, Kind
from plimsoll.contract.terms import ENTRIES, REQUIREMENTS
from portal.admin.change_values import (
    ADDED_MAX,
    LIMIT_FIELDS,
    NO,
    NO_PERIOD,
    NOT_OFFERED,
    OFFERED,
    RESERVED,
    TIER_FIELDS,
    YES,
    Values,
    published_values,
)
from portal.changelog import words
from portal.changelog.table import ALL_MODELS_TEXT, page_order

Options = tuple[tuple[str, str], ...]

_PERIODS = {1: "second", 60: "minute", 3600: "hour", 18_000: "5 hours", 86_400: "day"}
PERIODS: Options = (
    *((str(seconds), f"per {name}") for seconds, name in _PERIODS.items()),
    ("604800", "per week"),
    ("month", "per calendar month"),
    (NO_PERIOD, "none: requests at once"),
)
KINDS: Options = (
    (Kind.BUCKET.value, "refills continuously"),
    (Kind.WINDOW.value, "fixed windows"),
    (Kind.CONCURRENCY.value, "requests in flight"),
)
_YES_NO: Options = ((YES, "yes"), (NO, "no"))
_TIER_LABELS = {
    "name": "Name",
    "rank": "Place among the tiers",
    "entry": "How organisations come onto it",
    "keys_max": "Most live keys",
    "description": "Description",
    "email_confirmed": "Requires a confirmed e-mail address",
    "second_factor": "Requires a second factor",
    "account_age_days": "Requires an account this many days old",
    "active_days": "Requires use on this many days",
    "paid_microusd": "Requires this much paid, in microdollars",
}
_LONG = frozenset({"description"})


@dataclass(frozen=True)
class Input:
    """One control. `label` says all of it, since a table's cell has no words of its own.

    `options` makes it a choice, `is_long` a text of several lines.
    """

    name: str
    label: str
    value: str = ""
    published: str | None = None
    error: str = ""
    options: Options = ()
    is_long: bool = False
    placeholder: str = ""

    @property
    def is_touched(self) -> bool:
        return self.published is not None and self.value.strip() != self.published.strip()


@dataclass(frozen=True)
class LimitLine:
    """One limit of the table. Without `burst` it is no bucket."""

    model: str
    what: str
    quota: Input
    burst: Input | None


@dataclass(frozen=True)
class TierPart:
    """All that one tier publishes."""

    slug: str
    name: str
    limits: tuple[LimitLine, ...]
    offers: tuple[Input, ...]
    reserves: tuple[Input, ...]
    terms: tuple[Input, ...]

    @property
    def is_touched(self) -> bool:
        return any(each.is_touched for each in (*self.offers, *self.reserves, *self.terms))


@dataclass(frozen=True)
class Grid:
    """The whole editor. `added` are the lines of limits that are not published, the last one blank."""

    tiers: tuple[TierPart, ...]
    added: tuple[Mapping[str, Input], ...]
    models: tuple[Input, ...]
    new_models: tuple[tuple[Input, Input], ...]
    new_tiers: tuple[tuple[Input, ...], ...]
    texts: tuple[Input, ...]


def make_grid(base: Lasting, values: Values, errors: Mapping[str, str]) -> Grid:
    """The editor on a published table, with what was typed or drafted and what is wrong with it."""
    return _Maker(base, values, errors).grid()


class _Maker:
    def __init__(self, base: Lasting, values: Values, errors: Mapping[str, str]) -> None:
        self.base, self.values, self.errors = base, values, errors
        self.published = published_values(base)
        self.tiers = {slug: tier.name for slug, tier in base.tiers.items()} | self._new("newtier")
        self.models = {slug: each.name for slug, each in base.models.items()}
        self.models |= self._new("newmodel")

    def grid(self) -> Grid:
        ranks = {slug: tier.rank for slug, tier in self.base.tiers.items()}
        tiers = sorted(self.tiers, key=lambda slug: (ranks.get(slug, len(ranks) + 1), slug))
        return Grid(
            tiers=tuple(self._tier(slug) for slug in tiers),
            added=tuple(self._added()),
            models=tuple(
                self._input(f"model:{slug}", f"Name of {slug}") for slug in self.base.models
            ),
            new_models=tuple(self._new_models()),
            new_tiers=tuple(self._new_tiers()),
            texts=tuple(
                self._input(f"text:{metric}", f"How {info.title} count", is_long=True)
                for metric, info in METRICS.items()
            ),
        )

    def _input(
        self, name: str, label: str, *, options: Options = (), is_long: bool = False
    ) -> Input:
        published = self.published.get(name)
        value = self.values.get(name, published or "")
        if options and value not in dict(options):
            # What a file says is kept, also where the list of choices has no word for it.
            options = (*options, (value, value or "choose")) if value else options
        error = self.errors.get(name, "")
        return Input(name, label, value, published, error, options=options, is_long=is_long)

    def _new(self, kind: str) -> dict[str, str]:
        """Slug to name of the tiers or models that the draft adds."""
        found = {}
        for index in range(ADDED_MAX):
            slug = self.values.get(f"{kind}:{index}:slug", "").strip()
            if slug:
                found[slug] = self.values.get(f"{kind}:{index}:name", "").strip() or slug
        return found

    def _tier(self, slug: str) -> TierPart:
        cells = sorted((cell for cell in self.base.limits if cell.tier == slug), key=page_order)
        terms = TIER_FIELDS if slug in self.base.tiers else ()
        name = self.tiers[slug]
        return TierPart(
            slug=slug,
            name=name,
            limits=tuple(self._limit(cell) for cell in cells),
            offers=tuple(self._offer(slug, model) for model in self.models),
            reserves=tuple(
                self._input(f"reserve:{slug}:{metric}", f"Reserve of {METRICS[metric].title}")
                for metric in RESERVED
            ),
            terms=tuple(self._term(f"tier:{slug}", each) for each in terms),
        )

    def _limit(self, cell: Cell) -> LimitLine:
        model = ALL_MODELS_TEXT if cell.model == ALL_MODELS else self.models.get(cell.model, "")
        what = words.measure(cell)
        if METRICS[cell.metric].unit == "microusd":
            what = f"{what}, in microdollars"
        whole = f"{self.tiers[cell.tier]} · {model} · {what}"
        burst = None
        if cell.kind is Kind.BUCKET:
            burst = self._input(f"burst:{cell.name}", f"{whole}: in one go")
            burst = replace(burst, placeholder="as the limit")
        return LimitLine(model, what, self._input(f"quota:{cell.name}", f"{whole}: limit"), burst)

    def _offer(self, tier: str, model: str) -> Input:
        name = f"offer:{tier}:{model}"
        options: Options
        if (tier, model) in self.base.offers:
            others = sorted(self.base.offers - {(tier, model)})
            gone = ((f"{other}/{slug}", self._instead(other, slug)) for other, slug in others)
            options = ((OFFERED, "offered"), *gone)
        else:
            options = ((NOT_OFFERED, "not offered"), (OFFERED, "offered"))
        label = f"{self.models[model]} on {self.tiers[tier]}"
        made = self._input(name, label, options=options)
        if made.published is None:
            # A tier or model that the draft adds is not offered until it says so.
            value = self.values.get(name, NOT_OFFERED)
            return replace(made, published=NOT_OFFERED, value=value, options=options)
        return made

    def _instead(self, tier: str, model: str) -> str:
        return f"withdrawn; use {self.tiers.get(tier, tier)} · {self.models.get(model, model)}"

    def _term(self, prefix: str, name: str) -> Input:
        options: Options = ()
        if name == "entry":
            options = tuple((each, words.entry(each)) for each in ENTRIES)
        elif REQUIREMENTS.get(name) is bool:
            options = _YES_NO
        label = _TIER_LABELS[name]
        return self._input(f"{prefix}:{name}", label, options=options, is_long=name in _LONG)

    def _added(self) -> Iterator[Mapping[str, Input]]:
        choices: Mapping[str, Options] = {
            "tier": tuple(self.tiers.items()),
            "model": ((ALL_MODELS, ALL_MODELS_TEXT), *self.models.items()),
            "metric": tuple((info.name, info.title) for info in METRICS.values()),
            "kind": KINDS,
            "period": PERIODS,
        }
        labels = dict(zip(LIMIT_FIELDS, _LIMIT_LABELS, strict=True))
        for number, index in enumerate(self._used("add", "quota"), 1):
            yield {
                name: self._input(
                    f"add:{index}:{name}",
                    f"{labels[name]} of added limit {number}",
                    options=choices.get(name, ()),
                )
                for name in LIMIT_FIELDS
            }

    def _new_models(self) -> Iterator[tuple[Input, Input]]:
        for index in self._used("newmodel", "slug"):
            slug, name = (f"newmodel:{index}:{each}" for each in ("slug", "name"))
            yield self._input(slug, "Slug of a new model"), self._input(name, "Its name")

    def _new_tiers(self) -> Iterator[tuple[Input, ...]]:
        for index in self._used("newtier", "slug"):
            prefix = f"newtier:{index}"
            terms = (self._term(prefix, name) for name in TIER_FIELDS)
            yield self._input(f"{prefix}:slug", "Slug of a new tier"), *terms

    def _used(self, kind: str, name: str) -> Iterable[int]:
        """The indexes that something was typed under, and one blank after them."""
        used = [
            index
            for index in range(ADDED_MAX)
            if self.values.get(f"{kind}:{index}:{name}", "").strip()
        ]
        blank = max(used, default=-1) + 1
        return used if blank >= ADDED_MAX else [*used, blank]


_LIMIT_LABELS = ("Tier", "Model", "What it counts", "How it comes back", "Period", "Limit", "Burst")

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from plimsoll.contract.fold import LimitInForce, Policy
from plimsoll.contract.limits import ALL_MODELS
from plimsoll.contract.terms import Tier
from portal.changelog import words
from portal.changelog.ahead import Outline, outline
from portal.changelog.table import ALL_MODELS_TEXT, page_order
from portal.console.hearing import Hearing, get_hearing
from portal.core import clock
from portal.core.actor import Actor
from portal.keys.models import ApiKey
from portal.keys.queries import count_live
from portal.orgs.models import Org
from portal.orgs.policy import Permission, may
from portal.orgs.queries import is_confirmed, role_of
from portal.tiers.queries import current_assignment
from portal.transparency.queries import signed_log
from portal.usage.alerts import open_warnings
from portal.usage.shown import Meter, WarningShown, get_meter, name_warnings


@dataclass(frozen=True)
class LimitTable:
    """A tier's limits: models across, what is measured down; an absent cell is not limited."""

    models: tuple[str, ...]
    rows: tuple[tuple[str, Mapping[str, str]], ...]

    @property
    def columns(self) -> list[dict[str, object]]:
        """The headings, as the table component takes them."""
        return [{"title": "Limit"}, *({"title": name, "numeric": True} for name in self.models)]


@dataclass(frozen=True)
class Dashboard:
    """What the first page says to a member."""

    org: Org
    tier: Tier
    sentences: tuple[str, ...]
    limits: LimitTable
    live_keys: int
    is_confirmed: bool
    may_issue: bool
    ahead: Outline
    meter: Meter
    hearing: Hearing
    warnings: tuple[WarningShown, ...]


def get_dashboard(session: Session, actor: Actor, org: Org) -> Dashboard:
    """The dashboard of an organisation that the actor is a member of."""
    log, now = signed_log(session), clock.timestamp()
    in_force = log.policy(now)
    tier = in_force.tiers[current_assignment(session, org.id).tier]
    return Dashboard(
        org=org,
        tier=tier,
        sentences=_sentences(in_force, tier),
        limits=_table(in_force, tier),
        live_keys=count_live(session, org.id, at=clock.now()),
        is_confirmed=is_confirmed(session, org.id),
        may_issue=may(role_of(session, actor, org.id), Permission.ISSUE_KEY),
        ahead=outline(log, at=now, tiers=[tier.slug]),
        meter=get_meter(session, org.id),
        hearing=get_hearing(session),
        warnings=tuple(name_warnings(session, open_warnings(session, org.id))),
    )


def _limits(in_force: Policy, tier: Tier) -> dict[str, tuple[LimitInForce, ...]]:
    """The tier's limits by model as pages name it; shared ones last."""
    mine = (cell for cell in in_force.limits if cell.tier == tier.slug)
    cells = sorted(mine, key=page_order)
    found: dict[str, tuple[LimitInForce, ...]] = {
        name: () for slug, name in _models(in_force, tier).items()
    }
    for cell in cells:
        name = ALL_MODELS_TEXT
        if cell.model != ALL_MODELS:
            if (tier.slug, cell.model) not in in_force.offers:
                continue
            name = in_force.models[cell.model].name
        found[name] = (*found.get(name, ()), in_force.limits[cell])
    return found


def _models(in_force: Policy, tier: Tier) -> dict[str, str]:
    """The models that the tier offers, slug to name, in the order in which they were published."""
    return {
        slug: model.name
        for slug, model in in_force.models.items()
        if (tier.slug, slug) in in_force.offers
    }


def _sentences(in_force: Policy, tier: Tier) -> tuple[str, ...]:
    names = list(_models(in_force, tier).values())
    keys = "as many API keys as you like"
    if tier.keys_max is not None:
        keys = f"up to {tier.keys_max:,} live API key{'' if tier.keys_max == 1 else 's'}"
    said = [f"You can call {words.listing(names)}, and hold {keys}."]
    limits = _limits(in_force, tier)
    said += _of_models({name: limits[name] for name in names})
    if shared := limits.get(ALL_MODELS_TEXT):
        allowed = words.listing(words.allowance(each.limit) for each in shared)
        said.append(f"{ALL_MODELS_TEXT}: {allowed}.")
    return tuple(said)


def _of_models(limits: Mapping[str, tuple[LimitInForce, ...]]) -> list[str]:
    """One sentence for the first model; it says whether the others are allowed the same."""
    allowed = {
        name: words.listing(words.allowance(each.limit) for each in held)
        for name, held in limits.items()
        if held
    }
    if not allowed:
        return []
    first, text = next(iter(allowed.items()))
    same = len(allowed) == len(limits) and set(allowed.values()) == {text}
    who = "With each model" if same and len(limits) > 1 else f"With {first}, for example,"
    return [f"{who} that is {text}, all keys of your organisation together."]


def _table(in_force: Policy, tier: Tier) -> LimitTable:
    limits = _limits(in_force, tier)
    held = sorted(
        ((name, each.limit) for name, found in limits.items() for each in found),
        key=lambda pair: page_order(pair[1].cell)[2:],
    )
    rows: dict[str, dict[str, str]] = {}
    for name, limit in held:
        row = rows.setdefault(words.capital(words.measure(limit.cell)), {})
        row[name] = words.amount(limit.cell.metric, limit.quota)
    return LimitTable(models=tuple(limits), rows=tuple(rows.items()))


def count_keys_of(session: Session, org_id: str, *, user_id: str) -> int:
    """How many keys that are not revoked a person has issued in an organisation."""
    query = select(func.count()).where(
        ApiKey.org_id == org_id, ApiKey.created_by == user_id, ApiKey.revoked_at.is_(None)
    )
    return session.scalar(query) or 0

"""Does `/limits.json` say what follows from the log? Made from the fold, by nobody's word. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from plimsoll.contract import canonical
from plimsoll.contract.fold import LimitInForce, Policy, policy_of
from plimsoll.contract.history import History
from plimsoll.contract.limits import METRICS, Cell

FORMAT = 1


def differences(document: bytes, history: History, at: int) -> list[str]:
    """What the document says otherwise than the log does of Unix second `at`; [] if nothing.

    Fields that this version does not know are passed over.
    """
    try:
        said = canonical.read(document)
    except canonical.NotCanonical as error:
        return [f"it cannot be read as JSON: {error}"]
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        return [f"it is not of format {FORMAT}"]
    policy = policy_of(history, at)
    found = [
        f"{part} are not those of the log"
        for part, wanted in _parts(policy).items()
        if _sorted(said.get(part)) != _sorted(wanted)
    ]
    return [*found, *_limits(said.get("limits"), _expected(policy, history, at))]


def _parts(policy: Policy) -> dict[str, Any]:
    """All but the limits."""
    return {
        "models": [model.to_wire() for model in policy.models.values()],
        "tiers": [tier.to_wire() for tier in policy.tiers.values()],
        "offers": [{"tier": tier, "model": model} for tier, model in policy.offers],
        "counting": policy.counting,
    }


def _sorted(value: object) -> object:
    return sorted(value, key=canonical.encode) if isinstance(value, list) else value


def _expected(policy: Policy, history: History, at: int) -> dict[str, dict[str, Any]]:
    """The limits by name, as the document has them."""
    ends = _ends(policy, history, at)
    return {
        cell.name: {
            **cell.to_wire(),
            "name": cell.name,
            "unit": METRICS[cell.metric].unit,
            **held.limit.values(),
            "change": held.change,
            "valid_from": _instant(held.since),
            "valid_to": _instant(ends.get(cell)),
        }
        for cell, held in policy.limits.items()
    }


def _ends(policy: Policy, history: History, at: int) -> dict[Cell, int]:
    """When a limit stops being what it is, as far as that is announced."""
    steps, ends = history.instants(), dict[Cell, int]()
    for step in steps[bisect_right(steps, at) :]:
        then = policy_of(history, step).limits
        for cell, held in policy.limits.items():
            if cell not in ends and not _is_same(held, then.get(cell)):
                ends[cell] = step
    return ends


def _is_same(held: LimitInForce, then: LimitInForce | None) -> bool:
    return then is not None and then.limit == held.limit


def _limits(said: object, wanted: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not isinstance(said, list) or not all(isinstance(each, dict) for each in said):
        return ["it has no list of limits"]
    shown = {str(each.get("name")): each for each in said}
    if len(shown) != len(said):
        return ["a limit stands twice"]
    extra = [f"{name} is no limit of the log" for name in sorted(shown.keys() - wanted.keys())]
    missing = [f"{name} is missing" for name in sorted(wanted.keys() - shown.keys())]
    both = sorted(wanted.keys() & shown.keys())
    other = [text for name in both for text in _fields(name, shown[name], wanted[name])]
    return [*missing, *extra, *other]


def _fields(name: str, said: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterable[str]:
    for field, value in wanted.items():
        if field not in said:
            yield f"{name} has no {field}"
        elif said[field] != value or type(said[field]) is not type(value):
            yield f"{name}: {field} is {value} by the log, {said[field]} in the document"


def _instant(at: int | None) -> str | None:
    """RFC 3339, whole seconds (EXACT.md 1)."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""What a reader can do about a change, in sentences. Pure."""

from collections.abc import Iterable, Iterator

from plimsoll.contract.announcement import ChangeClass
from plimsoll.contract.direction import takes_away
from plimsoll.contract.effect import OPENING_CHANGE, Effect
from plimsoll.contract.history import State
from plimsoll.contract.parts import PartKind
from plimsoll.contract.terms import Offer
from portal.changelog.lines import ChangeLine

_NOTHING = "You need not do anything: nothing that is allowed today is refused because of it."
_QUIET = {
    State.WITHDRAWN: "You need not do anything: it never takes effect.",
    State.ENDED: "You need not do anything: it is over.",
    State.HELD: "Nothing changes while it is held. If it is released, it gets a new instant, and"
    " what it takes away still comes with notice.",
}
_UNTIL_THEN = "Until then the limits stay as they are, at every gateway."
_COMPARE = (
    "Compare what you send with the new limits. If they are too low for you, look at the other"
    " tiers, or tell us before the change takes effect."
)
_HEADER = (
    "Your programs can tell too: every answer to a request that it will concern carries the header"
    " Plimsoll-Limit-Change with its number and instant."
)
_REFUSED = (
    "A request refused because of a limit it changed names this change in the refusal. Wait for"
    " the time in Retry-After, spread your requests, or ask for a higher tier."
)


def advice(line: ChangeLine, effect: Effect, offers: Iterable[Offer] = ()) -> tuple[str, ...]:
    """What to do now, the most urgent first."""
    if line.state in _QUIET:
        return (_QUIET[line.state],)
    if line.change_class is ChangeClass.TEMPORARY_RAISE:
        return ("Enjoy the room while it is there, and be back at the usual limits by its end.",)
    if line.number == OPENING_CHANGE or not takes_away(effect.direction):
        return (_NOTHING,)
    if line.state is State.EFFECTIVE:
        return _in_force(line)
    # Who only loses a model has nothing to compare.
    is_less = any(item.kind is not PartKind.OFFER for item in effect.items)
    return (*_moves(effect, offers), *_ahead(line), *((_COMPARE,) if is_less else ()), _HEADER)


def _ahead(line: ChangeLine) -> tuple[str, ...]:
    ends = ("It ends by itself.",) if line.change_class is ChangeClass.EMERGENCY_CUT else ()
    return (_UNTIL_THEN, *ends)


def _in_force(line: ChangeLine) -> tuple[str, ...]:
    if line.change_class is ChangeClass.EMERGENCY_CUT:
        return ("It ends by itself, at the instant above.", _REFUSED)
    return (_REFUSED,)


def _moves(effect: Effect, offers: Iterable[Offer]) -> Iterator[str]:
    """Where those go whose model or tier is retired."""
    tiers = {**effect.before.tiers, **effect.after.tiers}
    models = {**effect.before.models, **effect.after.models}

    def name(tier: str, model: str) -> str:
        shown = models[model].name if model in models else model
        return f"{shown} on {tiers[tier].name if tier in tiers else tier}"

    for offer in offers:
        if not offer.offered:
            to = f" to {name(*offer.replacement)}" if offer.replacement else ""
            yield f"Move from {name(offer.tier, offer.model)}{to} before then."

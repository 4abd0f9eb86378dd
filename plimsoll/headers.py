"""What a decision looks like on the wire: RateLimit fields, Retry-After, problem details.

The draft for the RateLimit fields still moves, so their form is written in one place here:
`rate_limit_fields` (draft-ietf-httpapi-ratelimit-headers-11, RFC 9651 structured fields). What
announces a change, `change_fields`, is a form of our own and stands beside it.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from plimsoll.contract.limits import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from plimsoll.decision import Decision, Reading

PROBLEM_TYPE = "application/problem+json"
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"

_DAY_MS = 86_400_000

# Code: title and detail, as a caller reads them.
_TEXTS = {
    "key_missing": (
        "An API key is needed",
        "Send your key as `Authorization: Bearer <key>` or `x-api-key: <key>`.",
    ),
    "key_malformed": (
        "This is not an API key",
        "The text sent is mistyped or cut off: its form or its checksum does not fit.",
    ),
    "key_unknown": ("This API key is not known", "No organisation has this key."),
    "key_revoked": ("This API key was revoked", "It can never be used again. Issue a new one."),
    "key_expired": ("This API key has expired", "Its time is over. Issue or rotate to a new one."),
    "key_paused": ("This API key is paused", "Your organisation has paused it and can resume it."),
    "org_suspended": (
        "Your organisation is suspended",
        "None of its keys can be used until the provider lifts the suspension.",
    ),
    "network_not_allowed": (
        "This key may not be used from here",
        "Your organisation allows this key from other networks only.",
    ),
    "model_not_allowed": (
        "This model is not available to you",
        "Your tier does not offer it, or this key is not allowed to use it.",
    ),
    "not_ready": (
        "This gateway is not ready",
        "It has no verified state to decide from yet. Try again in a moment.",
    ),
}


def header_fields(decision: "Decision") -> list[tuple[str, str]]:
    """All fields that a decision adds to an answer."""
    fields = rate_limit_fields(decision.readings.policy, decision.limits)
    fields += decision.readings.announced
    if decision.allowed:
        return fields
    if decision.code == "limit_exceeded":
        fields.append(("Retry-After", str(_retry_after_seconds(decision))))
    if decision.code.startswith("key_") and decision.code != "key_paused":
        fields.append(("WWW-Authenticate", "Bearer"))
    return fields


def policy_field(limits: "Iterable[tuple[str, int, int | None]]") -> str:
    """`RateLimit-Policy`: name, quota and, where there is one, window in seconds of each limit."""
    return ", ".join(
        f'"{name}";q={quota}' + ("" if window is None else f";w={window}")
        for name, quota, window in limits
    )


def rate_limit_fields(policy: str, limits: "Sequence[Reading]") -> list[tuple[str, str]]:
    """`RateLimit-Policy` for every limit that applies, `RateLimit` for the tightest.

    `t` is an effective window in seconds, not a reset: nothing may be promised by it.
    """
    if not limits:
        return []
    _, _, tightest = min((each.remaining / (each.quota or 1), each.name, each) for each in limits)
    state = f'"{tightest.name}";r={tightest.remaining}'
    free_at = tightest.free_at_ms
    if free_at is not None:
        state += f";t={max(1, _ceil_seconds(free_at - tightest.at_ms))}"
    return [("RateLimit-Policy", policy), ("RateLimit", state)]


def change_fields(
    number: int, *, url: str | None, effective_at: int, direction: str
) -> tuple[tuple[str, str], ...]:
    """What tells a caller of an announced change, for people who read no mail.

    `Link` names the page that explains it, `Plimsoll-Limit-Change` is an RFC 9651 Item: the
    number, with a Date and a String as parameters.
    """
    item = f'{number};effective=@{effective_at};direction="{direction}"'
    link = () if url is None else (("Link", f'<{url}>; rel="describedby"'),)
    return (*link, ("Plimsoll-Limit-Change", item))


def problem(decision: "Decision") -> dict[str, object]:
    """Problem details (RFC 9457) of a refusal; type and fields by EXACT.md 37 and LIMITS.md 1."""
    if decision.code == "limit_exceeded":
        return _limit_exceeded(decision)
    if decision.code == "request_too_large":
        return _too_large(decision)
    title, detail = _TEXTS[decision.code]
    return {**_frame(decision, title), "detail": detail}


def rfc3339(at_ms: int, *, milliseconds: bool = False) -> str:
    """Unix milliseconds as RFC 3339 in UTC with `Z`; cut to seconds unless asked (EXACT.md 1)."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{at}.{at_ms % 1000:03d}Z" if milliseconds else f"{at}Z"


def free_at(reading: "Reading") -> dict[str, str | None]:
    """`resets_at` of a window or `full_at` of a bucket, as people's JSON has it."""
    at = reading.free_at_ms
    if reading.kind is Kind.WINDOW and at is not None:
        return {"resets_at": rfc3339(at)}
    return {"full_at": None if at is None else rfc3339(at, milliseconds=True)}


def _limit_exceeded(decision: "Decision") -> dict[str, object]:
    # The one that makes the caller wait longest; ties by name, so that the answer is stable.
    worst = max(decision.refusing, key=lambda each: (each.wait_ms, each.name))
    body = {
        **_frame(decision, "You have reached a limit"),
        "type": QUOTA_EXCEEDED,
        "detail": _sentence(worst),
        "violated-policies": [each.name for each in decision.refusing],
        **_which(worst),
        **_when(worst),
        "retry_after_ms": decision.retry_after_ms,
    }
    if worst.change is not None:
        body["change"] = worst.change._asdict()
    return body


def _too_large(decision: "Decision") -> dict[str, object]:
    limit = decision.refusing[0]
    detail = f"{limit.name} never admits as much as this request asks for at once."
    body = _frame(decision, "This request is too large for a limit")
    return {**body, "detail": detail, "violated-policies": [limit.name], **_which(limit)}


def _frame(decision: "Decision", title: str) -> dict[str, object]:
    return {
        "type": f"/problems/{decision.code}",
        "title": title,
        "status": decision.status,
        "code": decision.code.value,
    }


def _which(limit: "Reading") -> dict[str, object]:
    return {
        "limit": limit.name,
        "metric": limit.metric,
        "quota": limit.quota,
        "used": limit.used,
        "period": limit.period,
    }


def _when(limit: "Reading") -> dict[str, object]:
    at = limit.enough_at_ms
    if at is None:
        return {}
    if limit.kind is Kind.WINDOW:
        return {"resets_at": rfc3339(at)}
    return {"enough_at": rfc3339(at, milliseconds=True)}


def _sentence(limit: "Reading") -> str:
    what = f"{limit.name}: {limit.used:,} of {limit.burst or limit.quota:,} in use."
    at = limit.enough_at_ms
    if at is None:
        return f"{what} This request fits when another one of yours ends."
    return f"{what} This request fits at {rfc3339(at, milliseconds=True)}."


def _retry_after_seconds(decision: "Decision") -> int:
    wait = decision.retry_after_ms
    return 1 if wait is None else _ceil_seconds(wait)


def _ceil_seconds(milliseconds: int) -> int:
    return -(-milliseconds // 1000)

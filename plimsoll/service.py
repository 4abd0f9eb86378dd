"""The check service: the gate for applications in any language, over HTTP (EXACT.md 25, 26).

`GET /check` with the caller's key decides (forward-auth of nginx, Caddy, Traefik, Envoy),
`POST /settle` says what an admitted request took, `GET /limits` reads the meter, `GET /health`
and `GET /metrics` are for the operator. Run it where only your own proxies reach it.

Envoy asks with the caller's method and puts the caller's path behind `/check`; so every method
and every path below it is the same question.
"""

import ipaddress
import json
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import orjson

import plimsoll
from plimsoll.decision import Code, Decision, Reading
from plimsoll.gateway import Gateway
from plimsoll.headers import PROBLEM_TYPE, free_at, rfc3339
from plimsoll.middleware.wsgi import secret_of
from plimsoll.sync import Link

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_CHECK = "/check"
_BODY_BYTES_MAX = 10_000
_OFFSET_SHOWN_SECONDS = 2.0


class _Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""


class _BadRequest(Exception):
    """What the caller sent cannot be used; `field` says where."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def create_app(
    gateway: Gateway,
    *,
    trusted_proxies: Sequence[Network] = (),
    deny_status: int | None = None,
) -> "WSGIApplication":
    """The service as a WSGI application over an open gateway."""
    return _Service(gateway, tuple(trusted_proxies), deny_status)


class _Service:
    def __init__(
        self, gateway: Gateway, trusted_proxies: tuple[Network, ...], deny_status: int | None
    ) -> None:
        self._gateway = gateway
        self._trusted_proxies = trusted_proxies
        self._deny_status = deny_status
        self._routes: dict[tuple[str, str], Callable[[WSGIEnvironment], _Answer]] = {
            ("POST", "/settle"): self._settle,
            ("GET", "/limits"): self._limits,
            ("GET", "/health"): self._health,
            ("GET", "/metrics"): self._metrics,
        }

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        try:
            answer = self._route(environ)
        except _BadRequest as bad:
            answer = _bad_request(bad)
        headers = [*answer.headers, ("Content-Length", str(len(answer.body)))]
        headers.append(("Cache-Control", "no-store"))
        start_response(f"{answer.status} {_phrase(answer.status)}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _route(self, environ: "WSGIEnvironment") -> _Answer:
        path = environ["PATH_INFO"]
        if path == _CHECK or path.startswith(f"{_CHECK}/"):
            return self._asked(environ)
        view = self._routes.get((environ["REQUEST_METHOD"], path))
        if view is not None:
            return view(environ)
        if any(path == known for _, known in self._routes):
            return _problem(405, "method_not_allowed", "This address has another method.")
        return _problem(404, "not_found", "There is nothing at this address.")

    def _asked(self, environ: "WSGIEnvironment") -> _Answer:
        """The check; whatever is not 200 has the status that the proxy was told to expect."""
        try:
            answer = self._check(environ)
        except _BadRequest as bad:
            answer = _bad_request(bad)
        if self._deny_status is None or answer.status == HTTPStatus.OK:
            return answer
        # nginx passes on only a few statuses, and of a refusal it keeps nothing but the fields;
        # so the true status and the body travel there. Escapes keep the field plain ASCII.
        problem = json.dumps(orjson.loads(answer.body), separators=(",", ":"))
        beside = [("X-Plimsoll-Status", str(answer.status)), ("X-Plimsoll-Problem", problem)]
        return answer._replace(status=self._deny_status, headers=[*answer.headers, *beside])

    def _check(self, environ: "WSGIEnvironment") -> _Answer:
        decision = self._gateway.enforcer.check(
            secret_of(environ),
            model=environ.get("HTTP_X_MODEL") or None,
            input_tokens=_amount(environ, "X-Input-Tokens") or 0,
            max_tokens=_amount(environ, "X-Max-Tokens"),
            client_ip=self._client_ip(environ),
        )
        return self._decided(decision)

    def _decided(self, decision: Decision) -> _Answer:
        headers = [*_identity(decision), *decision.headers()]
        if decision:
            return _Answer(200, headers)
        body = orjson.dumps(decision.problem())
        headers.append(("Content-Type", PROBLEM_TYPE))
        return _Answer(decision.status, headers, body)

    def _settle(self, environ: "WSGIEnvironment") -> _Answer:
        fields = _json_body(environ)
        decision_id, failed = fields.get("decision"), fields.get("failed", False)
        if not isinstance(decision_id, str):
            raise _BadRequest(
                "decision", "Name the decision: the X-Plimsoll-Decision of its check."
            )
        if not isinstance(failed, bool):
            raise _BadRequest("failed", "`failed` is true or false.")
        names = ("input_tokens", "output_tokens", "spend_microusd")
        amounts = {name: _whole(fields.get(name), name) for name in names}
        self._gateway.enforcer.settle(decision_id, failed=failed, **amounts)
        return _Answer(204, [])

    def _limits(self, environ: "WSGIEnvironment") -> _Answer:
        client_ip = self._client_ip(environ)
        decision = self._gateway.enforcer.limits(secret_of(environ), client_ip=client_ip)
        if not decision:
            return self._decided(decision)
        answer: dict[str, Any] = {"limits": [_meter(reading) for reading in decision.limits]}
        coming = self._gateway.enforcer.coming(decision)
        if coming:
            at = [rfc3339(each.at * 1000) for each in coming]
            answer["announced"] = [
                each.to_json(effective_at=text) for each, text in zip(coming, at, strict=True)
            ]
        return _json(200, answer, headers=decision.readings.announced)

    def _health(self, environ: "WSGIEnvironment") -> _Answer:  # noqa: ARG002 - one form of view
        report = health(self._gateway)
        return _json(200 if report["ready"] else 503, report)

    def _metrics(self, environ: "WSGIEnvironment") -> _Answer:  # noqa: ARG002 - one form of view
        body = metrics(self._gateway).encode()
        return _Answer(200, [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")], body)

    def _client_ip(self, environ: "WSGIEnvironment") -> str | None:
        # The peer is a proxy or an application: its own address says nothing about the caller.
        claimed: str | None = environ.get("HTTP_X_CLIENT_IP")
        try:
            peer = ipaddress.ip_address(environ.get("REMOTE_ADDR", ""))
        except ValueError:
            return None
        return claimed if any(peer in network for network in self._trusted_proxies) else None


def health(gateway: Gateway) -> dict[str, Any]:
    """What an operator wants to know first: ready, how level with the portal, what is wrong."""
    replica, standing = gateway.replica, gateway.follower.standing()
    head, offset = gateway.replica.head, replica.time.offset()
    age = replica.age_seconds()
    problem = replica.log_problem
    return {
        "ready": replica.is_ready and not gateway.enforcer.is_stale(),
        "portal": standing.link.value,
        "reason": standing.reason or None,
        "age_seconds": None if age is None else round(age, 1),
        "max_stale_seconds": gateway.enforcer.max_stale_seconds,
        "cursor": None if head is None else head.cursor,
        "records": 0 if head is None else head.records,
        "log_size": replica.logbook.size,
        "log_problem": None if problem is None else problem.code,
        "clock_offset_seconds": round(offset, 1) if abs(offset) > _OFFSET_SHOWN_SECONDS else None,
        "counters": gateway.counters,
        "counters_problem": gateway.counters_problem,
        "usage_waiting": gateway.follower.sender.spool.left,
        "usage_parked": gateway.follower.sender.spool.parked,
        "observing": gateway.enforcer.is_observing,
        "boot": gateway.store.boot,
        "version": plimsoll.__version__,
    }


def metrics(gateway: Gateway) -> str:
    """The same and the number of decisions, in the text format of Prometheus."""
    report = health(gateway)
    head = gateway.replica.head
    gauges = {
        "plimsoll_ready": int(report["ready"]),
        "plimsoll_portal_following": int(report["portal"] == Link.FOLLOWING),
        "plimsoll_state_age_seconds": report["age_seconds"],
        "plimsoll_revision": 0 if head is None else head.revision,
        "plimsoll_records": report["records"],
        "plimsoll_log_size": report["log_size"],
        "plimsoll_log_trusted": int(report["log_problem"] is None),
        "plimsoll_counters_shared": int(report["counters"] == "shared"),
        "plimsoll_unsettled": gateway.enforcer.unsettled,
        "plimsoll_store_bytes": gateway.store.size_bytes(),
        "plimsoll_usage_waiting_rows": report["usage_waiting"],
        "plimsoll_usage_parked_batches": report["usage_parked"],
    }
    lines = []
    for name, value in gauges.items():
        if value is not None:
            lines += [f"# TYPE {name} gauge", f"{name} {value}"]
    lines.append("# TYPE plimsoll_decisions_total counter")
    tally = gateway.enforcer.tally
    lines += [f'plimsoll_decisions_total{{code="{code}"}} {tally[code]}' for code in Code]
    return "\n".join(lines) + "\n"


def _identity(decision: Decision) -> list[tuple[str, str]]:
    fields = {
        "X-Plimsoll-Decision": decision.id or None,
        "X-Plimsoll-Org": decision.org,
        "X-Plimsoll-Key": decision.key,
        "X-Plimsoll-Environment": decision.environment,
        "X-Plimsoll-Observed": decision.code.value if decision.is_observed else None,
    }
    return [(name, value) for name, value in fields.items() if value is not None]


def _meter(reading: Reading) -> dict[str, Any]:
    return {
        "limit": reading.name,
        "metric": reading.metric,
        "kind": reading.kind.value,
        "period": reading.period,
        "quota": reading.quota,
        "burst": reading.burst,
        "used": reading.used,
        "remaining": reading.remaining,
        **free_at(reading),
    }


def _amount(environ: "WSGIEnvironment", header: str) -> int | None:
    text = environ.get("HTTP_" + header.upper().replace("-", "_"))
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:  # noqa: PLR2004 - below 2**53
        raise _BadRequest(header, f"{header} is a whole number.")
    return int(text)


def _whole(value: object, field: str) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 2**53:
        raise _BadRequest(field, f"`{field}` is a whole number.")
    return value


def _json_body(environ: "WSGIEnvironment") -> dict[str, Any]:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > _BODY_BYTES_MAX:
        raise _BadRequest("", "The body is too large.")
    try:
        fields = orjson.loads(environ["wsgi.input"].read(int(length)))
    except orjson.JSONDecodeError as error:
        raise _BadRequest("", "The body is not JSON.") from error
    if not isinstance(fields, dict):
        raise _BadRequest("", "The body is not a JSON object.")
    return fields


def _bad_request(bad: _BadRequest) -> _Answer:
    more = {"field": bad.field} if bad.field else {}
    return _problem(422 if bad.field else 400, "field_invalid", str(bad), **more)


def _problem(status: int, code: str, detail: str, **more: str) -> _Answer:
    problem = {"type": f"/problems/{code}", "title": _phrase(status), "status": status}
    body = orjson.dumps({**problem, "code": code, "detail": detail, **more})
    return _Answer(status, [("Content-Type", PROBLEM_TYPE)], body)


def _json(status: int, value: object, *, headers: Iterable[tuple[str, str]] = ()) -> _Answer:
    fields = [("Content-Type", "application/json"), *headers]
    return _Answer(status, fields, orjson.dumps(value))


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in _KNOWN else "Refused"


_KNOWN = frozenset(HTTPStatus)

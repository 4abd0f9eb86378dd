"""The API's operations, each said once: what a view declares is what it reads, and what the document says.

    @bp.get("/keys")
    @operation(summary="List keys", scope="keys:read", query=Listing, answers={200: Answer("A page.", Keys)})
    @public
    def list_keys() -> Response: …

The document is made from the views that are installed, so that it cannot name another address than the router.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ParamSpec, TypeVar

from flask import Response, current_app, request
from pydantic import Field
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from werkzeug.routing import Rule

from portal.core.errors import Invalid, PortalError
from portal.web.shapes import FIELD_SHOWN, Shape

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Shape)
Schema = dict[str, Any]

BASE = "/api/v1"
REF = "#/components/schemas/{model}"
ABOUT_REFUSALS = {
    400: "The body is not JSON.",
    401: "No access token came, or none that opens anything; where a key is asked for, the key.",
    403: "Your role there, or the scopes of the token, do not allow this.",
    404: "It is not there, or not yours to see.",
    409: "Its state does not allow this any more, or not yet.",
    415: "The body is not sent as `application/json`.",
    422: "A value is not right; `field` names it.",
    429: "Too many calls. `Retry-After` says when to go on.",
}
ALWAYS = (401, 403, 404, 429)
HEADERS = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
}


class Problem(Shape):
    """As RFC 9457 has it."""

    type: str = Field(description="`/problems/` and the code.")
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    code: str = Field(description="Decide by this one: it does not change.")
    detail: str = Field(description="A sentence for people.")
    field: str = Field("", description="Which value is not right.")


class Secret(StrEnum):
    """What a caller shows."""

    TOKEN = "token"  # noqa: S105 -- the name of a kind
    KEY = "key"


SCHEMES = {
    Secret.TOKEN.value: {"type": "http", "scheme": "bearer", "description": "An access token."},
    Secret.KEY.value: {"type": "http", "scheme": "bearer", "description": "An API key."},
}
_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")


class NotJson(PortalError):
    status = 415
    code = "not_json"
    public = "Send the body as application/json."


@dataclass(frozen=True)
class Answer:
    """What comes back where all went well."""

    about: str
    body: type[Shape] | None = None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One act of the API. `asks`: which secret is sent. `scope`: what a token needs; "" = any token will do."""

    summary: str
    answers: Mapping[int, Answer]
    asks: Secret = Secret.TOKEN
    scope: str = ""
    about: str = ""
    query: type[Shape] | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    body: type[Shape] | None = None
    refusals: tuple[int, ...] = ()

    @property
    def statuses(self) -> list[int]:
        """All that can be refused, in order."""
        found = {*ALWAYS, *self.refusals}
        found |= {400, 415, 422} if self.body else set()
        return sorted(found | ({422} if self.query else set()))


def operation(**said: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Say what a view of the API is."""
    described = Operation(**said)

    def mark(view: Callable[P, R]) -> Callable[P, R]:
        view.operation = described  # type: ignore[attr-defined]
        return view

    return mark


def operation_of(view: object) -> Operation | None:
    """What a view says of itself."""
    return getattr(view, "operation", None)


def operations() -> Iterator[tuple[str, Rule, Operation]]:
    """Method, rule and description of each operation that is installed, by address."""
    for rule in sorted(current_app.url_map.iter_rules(), key=lambda rule: rule.rule):
        found = operation_of(current_app.view_functions[rule.endpoint])
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if found is not None:
                yield method, rule, found


def read_body(shape: type[S]) -> S:
    """The body of this request. Raises NotJson, BadJson, Invalid."""
    if request.mimetype != "application/json":
        raise NotJson
    return shape.read_json(request.get_data())


def read_query(shape: type[S]) -> S:
    """The parameters of this request's address. Raises Invalid, also for one that is mistyped."""
    for name, sent in request.args.lists():
        if len(sent) > 1:
            raise Invalid("Give this once.", field=name[:FIELD_SHOWN])
    return shape.read_words(request.args.to_dict())


def answer(body: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer to a machine that showed a token: kept by nobody on the way."""
    text = json.dumps(body, ensure_ascii=False) + "\n"
    response = Response(text, status, content_type="application/json")
    response.headers["Cache-Control"] = "private, no-store"
    return response


class _Described(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002
        return False  # it would be the field's name once more


def _schemas(operations: Iterable[Operation]) -> dict[str, Schema]:
    """What stands in bodies, answers and parameters, by name."""
    shapes: set[type[Shape]] = {Problem}
    for each in operations:
        said = [each.body, each.query, *(answer.body for answer in each.answers.values())]
        shapes |= {shape for shape in said if shape}
    _, schemas = models_json_schema(
        [(shape, "validation") for shape in sorted(shapes, key=lambda shape: shape.__name__)],
        ref_template=REF,
        schema_generator=_Described,
    )
    found: dict[str, Schema] = schemas["$defs"]
    return found


def document(*, url: str, name: str) -> dict[str, Any]:
    """The whole API in OpenAPI 3.1."""
    found = list(operations())
    schemas = _schemas(each for _, _, each in found)
    paths: dict[str, dict[str, Any]] = {}
    for method, rule, each in found:
        path = _ARGUMENT.sub(r"{\1}", rule.rule)
        paths.setdefault(path, {})[method.lower()] = _described(rule, each, schemas)
    asked = {each.query.__name__ for _, _, each in found if each.query}
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": "1"},
        "servers": [{"url": url}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: schemas[name] for name in sorted(schemas.keys() - asked)},
            "responses": {str(status): _refusal(status) for status in ABOUT_REFUSALS},
            "securitySchemes": SCHEMES,
        },
    }


def _described(rule: Rule, found: Operation, schemas: Mapping[str, Schema]) -> Schema:
    query = schemas[found.query.__name__] if found.query else {}
    said: Schema = {
        "operationId": rule.endpoint,
        "summary": found.summary,
        "parameters": [*_path_parameters(rule, found), *_query_parameters(query)],
        "responses": {str(status): _answer(each) for status, each in found.answers.items()}
        | {str(each): {"$ref": f"#/components/responses/{each}"} for each in found.statuses},
    }
    if found.scope:
        said["description"] = f"{found.about} Scope: `{found.scope}`.".strip()
    elif found.about:
        said["description"] = found.about
    if found.asks is not Secret.TOKEN:
        said["security"] = [{found.asks.value: []}]
    if found.body:
        said["requestBody"] = {"required": True, "content": _content(found.body)}
    return said


def _path_parameters(rule: Rule, found: Operation) -> Iterator[dict[str, Any]]:
    for name in _ARGUMENT.findall(rule.rule):
        schema = {"type": "string", "minLength": 1}
        said = {"name": name, "in": "path", "required": True, "schema": schema}
        yield said | ({"description": found.path[name]} if name in found.path else {})


def _query_parameters(query: Schema) -> Iterator[Schema]:
    for name, schema in query.get("properties", {}).items():
        about = schema.pop("description", "")
        said = {"name": name, "in": "query", "required": name in query.get("required", ())}
        yield said | {"schema": schema} | ({"description": about} if about else {})


def _answer(found: Answer) -> dict[str, Any]:
    return {"description": found.about} | ({"content": _content(found.body)} if found.body else {})


def _content(body: type[Shape]) -> dict[str, Schema]:
    return {"application/json": {"schema": _named(body)}}


def _named(shape: type[Shape]) -> Schema:
    return {"$ref": REF.format(model=shape.__name__)}


def _refusal(status: int) -> dict[str, Any]:
    return {
        "description": ABOUT_REFUSALS[status],
        "headers": HEADERS.get(status, {}),
        "content": {"application/problem+json": {"schema": _named(Problem)}},
    }

"""Shapes of JSON bodies and of parameters: pydantic models, so that what checks a value also describes it."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from portal.core.errors import Invalid, PortalError
from portal.core.text import can_be_seen
from portal.web.forms import NAME_MAX, is_control, tidy, tidy_line, unix_lines

FIELD_SHOWN = 40  # of a name that somebody sent and that we do not know
# Pydantic's own words are for programmers; by the kinds of its errors, with what it says of each.
WORDS = {
    "bool_type": "Give true or false.",
    "enum": "Use one of {expected}.",
    "extra_forbidden": "There is no such field here.",
    "greater_than_equal": "Give a whole number from {ge:,}.",
    "int_from_float": "Give a whole number.",
    "int_parsing": "Give a whole number.",
    "int_type": "Give a whole number.",
    "less_than_equal": "Give a whole number up to {le:,}.",
    "list_type": "Give a list.",
    "missing": "This is missing.",
    "model_type": "Send a JSON object.",
    "string_too_long": "At most {max_length:,} characters fit here.",
    "string_too_short": "Use at least one character.",
    "string_type": "Give a text.",
    "string_unicode": "A character in this text is none.",
    "too_long": "At most {max_length:,} fit here.",
}


class BadJson(PortalError):
    status = 400
    code = "bad_json"
    public = "The body is not JSON."


class Shape(BaseModel):
    """An object of the API. Its docstring and the `description` of its fields stand in the document."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def read_json(cls, text: bytes) -> Self:
        """The object in a body. Raises BadJson, Invalid."""
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            _refuse(error)

    @classmethod
    def read_words(cls, words: dict[str, str]) -> Self:
        """The object in the parameters of an address. Raises Invalid."""
        try:
            return cls.model_validate_strings(words)
        except ValidationError as error:
            _refuse(error)

    def values(self) -> dict[str, Any]:
        """The fields by name, as commands take them."""
        return dict(self)


def _refuse(error: ValidationError) -> NoReturn:
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        raise BadJson from error
    where = str(first["loc"][0])[:FIELD_SHOWN] if first["loc"] else ""
    raise Invalid(_said(first), field=where) from error


def _said(error: ErrorDetails) -> str:
    words = WORDS.get(error["type"])
    return words.format(**error.get("ctx", {})) if words else error["msg"]


def _refused(sentence: str) -> PydanticCustomError:
    # The sentence as it is: braces in it are no places to fill.
    return PydanticCustomError("refused", "{sentence}", {"sentence": sentence})


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise _refused("A character in this text is none.")
    return text


def _for_people(text: str, *, allowed: str = "") -> str:
    if any(is_control(char) and char not in allowed for char in text):
        raise _refused("Leave out control characters and direction marks.")
    if not can_be_seen(text):
        raise _refused("Use at least one character that can be seen.")
    return text


def _line(text: str) -> str:
    return _for_people(tidy_line(text) or "")


def _lines(text: str) -> str:
    return _for_people(tidy(unix_lines(text)) or "", allowed="\n\t")


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})"


def _instant(value: Any) -> datetime:
    wanted = "Give an instant with its offset in whole seconds, such as 2026-12-24T12:00:00Z."
    if not isinstance(value, str) or not re.fullmatch(INSTANT, value, re.ASCII):
        raise _refused(wanted)
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _refused(wanted) from error


# A text that stands for something else, such as an id: taken as it is.
Text = Annotated[str, AfterValidator(_without_nul)]
Name = Annotated[str, AfterValidator(_line), Field(min_length=1, max_length=NAME_MAX)]  # EXACT 43
# Text for people, in lines.
Prose = Annotated[str, AfterValidator(_lines)]
WHOLE = BeforeValidator(_whole)  # beside a bound `int`: to JSON Schema 1.0 is whole
# RFC 3339 with an offset, in whole seconds (EXACT 1).
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": f"^{INSTANT}$"}),
]

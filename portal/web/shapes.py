"""Shapes of JSON: each reads a value, and says of itself in JSON Schema what it takes. One truth for both."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from portal.core.errors import Invalid
from portal.core.text import can_be_seen
from portal.web.forms import NAME_MAX, is_control, tidy, tidy_line, unix_lines

Schema = dict[str, Any]
FIELD_SHOWN = 40  # of a name that somebody sent and that we do not know


class Shape(Protocol):
    """What one value may be."""

    def schema(self) -> Schema:
        """The shape in JSON Schema, as OpenAPI 3.1 has it."""
        ...

    def read(self, value: Any) -> Any:
        """The value as commands take it. Raises Invalid."""
        ...


def _text(value: Any, *, most: int, least: int = 0) -> str:
    if not isinstance(value, str):
        raise Invalid("Give a text.")
    if not least <= len(value) <= most:
        raise Invalid(f"Use {least:,} to {most:,} characters.")
    return value


@dataclass(frozen=True)
class Text:
    """A text that stands for something else, such as an id: short, and taken as it is."""

    most: int = 200
    pattern: str | None = None

    def schema(self) -> Schema:
        said: Schema = {"type": "string", "maxLength": self.most}
        return said | ({"pattern": f"^{self.pattern}$"} if self.pattern else {})

    def read(self, value: Any) -> str:
        text = _text(value, most=self.most)
        if any(unicodedata.category(char) == "Cs" for char in text) or "\0" in text:
            raise Invalid("A character in this text is none.")
        if self.pattern and not re.fullmatch(self.pattern, text, re.ASCII):
            raise Invalid("This is not written as it should be.")
        return text


@dataclass(frozen=True)
class Prose:
    """Text for people; on one line it is a name (EXACT 43)."""

    most: int = NAME_MAX
    is_line: bool = True

    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1, "maxLength": self.most}

    def read(self, value: Any) -> str:
        text = _text(value, most=self.most)
        text = (tidy_line(text) if self.is_line else tidy(unix_lines(text))) or ""
        allowed = "" if self.is_line else "\n\t"
        if any(is_control(char) and char not in allowed for char in text):
            raise Invalid("Leave out control characters and direction marks.")
        if not 1 <= len(text) <= self.most or not can_be_seen(text):
            raise Invalid(f"Use 1 to {self.most:,} characters that can be seen.")
        return text


@dataclass(frozen=True)
class OneOf:
    """One of a closed set."""

    kind: type[StrEnum]

    def schema(self) -> Schema:
        return {"type": "string", "enum": [each.value for each in self.kind]}

    def read(self, value: Any) -> StrEnum:
        known = [each.value for each in self.kind]
        if value not in known:
            raise Invalid(f"Use one of {', '.join(known)}.")
        return self.kind(value)


@dataclass(frozen=True)
class Whole:
    """A whole number. In an address it is written as digits."""

    least: int
    most: int

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def read(self, value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,16}", value, re.ASCII):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # to JSON Schema 1.0 is whole
        if type(value) is not int or not self.least <= value <= self.most:
            raise Invalid(f"Give a whole number from {self.least:,} to {self.most:,}.")
        return value


INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})"


@dataclass(frozen=True)
class Instant:
    """RFC 3339 with an offset, in whole seconds (EXACT 1)."""

    def schema(self) -> Schema:
        return {"type": "string", "format": "date-time", "pattern": f"^{INSTANT}$"}

    def read(self, value: Any) -> datetime:
        wanted = "Give an instant with its offset in whole seconds, such as 2026-12-24T12:00:00Z."
        if not isinstance(value, str) or not re.fullmatch(INSTANT, value, re.ASCII):
            raise Invalid(wanted)
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise Invalid(wanted) from error


@dataclass(frozen=True)
class Yes:
    """True or false."""

    def schema(self) -> Schema:
        return {"type": "boolean"}

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise Invalid("Give true or false.")
        return value


@dataclass(frozen=True)
class Many:
    """A list."""

    of: Shape
    most: int | None = None

    def schema(self) -> Schema:
        said: Schema = {"type": "array", "items": self.of.schema()}
        return said | ({"maxItems": self.most} if self.most is not None else {})

    def read(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Invalid("Give a list.")
        if self.most is not None and len(value) > self.most:
            raise Invalid(f"Give at most {self.most:,}.")
        return [self.of.read(each) for each in value]


@dataclass(frozen=True)
class OrNull:
    """What may be missing: null."""

    of: Shape

    def schema(self) -> Schema:
        said = self.of.schema()
        if isinstance(said.get("type"), str) and "enum" not in said:
            return said | {"type": [said["type"], "null"]}
        return {"anyOf": [said, {"type": "null"}]}

    def read(self, value: Any) -> Any:
        return None if value is None else self.of.read(value)


@dataclass(frozen=True)
class Field:
    """One member of an object. What is not `required` has `absent` for its value where it is left out."""

    shape: Shape
    about: str = ""
    required: bool = True
    absent: Any = None

    def schema(self) -> Schema:
        return self.shape.schema() | ({"description": self.about} if self.about else {})


@dataclass(frozen=True)
class Thing:
    """An object with a name, which the document describes once."""

    name: str
    fields: Mapping[str, Field] = field(hash=False)

    def schema(self) -> Schema:
        return {"$ref": f"#/components/schemas/{self.name}"}

    def described(self) -> Schema:
        """What stands under the name."""
        return {
            "type": "object",
            "properties": {name: each.schema() for name, each in self.fields.items()},
            "required": [name for name, each in self.fields.items() if each.required],
            "additionalProperties": False,
        }

    def things(self) -> dict[str, "Thing"]:
        """It and all that stand in it, by name."""
        found = {self.name: self}
        for each in self.fields.values():
            shape: Any = each.shape
            while isinstance(shape, Many | OrNull):
                shape = shape.of
            if isinstance(shape, Thing):
                found |= shape.things()
        return found

    def read(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Invalid("Send a JSON object.")
        for name in value:
            if name not in self.fields:
                raise Invalid("There is no such field here.", field=name[:FIELD_SHOWN])
        return {name: _member(name, each, value) for name, each in self.fields.items()}


def _member(name: str, member: Field, value: Mapping[str, Any]) -> Any:
    if name not in value:
        if member.required:
            raise Invalid("This is missing.", field=name)
        return member.absent
    try:
        return member.shape.read(value[name])
    except Invalid as error:
        raise Invalid(error.public, field=name) from error

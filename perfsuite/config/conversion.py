"""Strict conversion of plain data, as from TOML, to structs, with the location of each mistake."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from perfsuite.errors import ConfigError
from perfsuite.plugins import suggestion

T = TypeVar("T")

_AT = re.compile(r"(?P<what>.*) - at `(?:key` in `)?\$\.?(?P<path>[^`]*)`", re.DOTALL)
_TOML_WORDS = {
    "object": "table",
    "str": "string",
    "int": "integer",
    "bool": "boolean",
}


@dataclass(frozen=True)
class Location:
    """A location in a suite: `suite.toml: recipes[0].passes[0].ratio`.

    `file` is the name of the suite's file, or `Suite(...)` for one that is made in Python.
    """

    file: str
    path: str = ""

    def key(self, name: str) -> Location:
        """Return the location of a key of the table at this location."""
        word = name if re.fullmatch(r"[\w-]+", name) else json.dumps(name)
        return Location(self.file, f"{self.path}.{word}" if self.path else word)

    def item(self, index: int) -> Location:
        """Return the location of an element of the array at this location."""
        return Location(self.file, f"{self.path}[{index}]")

    def error(self, what: str) -> ConfigError:
        """Return an error whose message begins with this location."""
        return ConfigError(f"{self}: {what}")

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.path) if part)


def convert(data: object, struct: type[T], location: Location) -> T:
    """Return `data` as an object of the type `struct`.

    Raises `ConfigError` for unknown keys (with a suggestion), wrong types, values out of range,
    numbers that are not finite, and whatever the struct's own `__post_init__` refuses.
    """
    _refuse_unknown(inspect.type_info(struct), data, location)
    _refuse_numbers(data, location)
    try:
        return msgspec.convert(data, struct)
    except msgspec.ValidationError as error:
        raise _placed(str(error), location) from error


def _refuse_unknown(kind: inspect.Type, value: object, location: Location) -> None:
    """Raise for the first unknown key, and for the first word that is not one of its choices."""
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        known = {field.encode_name: field.type for field in kind.fields}
        if kind.tag_field:
            known[kind.tag_field] = inspect.LiteralType((kind.tag,))
        for key, item in value.items():
            if key not in known:
                raise location.key(key).error(f"unknown key{suggestion(key, known)}")
            _refuse_unknown(known[key], item, location.key(key))
    elif isinstance(kind, inspect.UnionType) and isinstance(value, dict):
        _refuse_unknown(_told_by_its_tag(kind, value, location), value, location)
    elif isinstance(kind, inspect.UnionType) and isinstance(value, str):
        _refuse_other_words(kind, value, location)
    elif isinstance(kind, inspect.ListType | inspect.VarTupleType) and isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_unknown(kind.item_type, item, location.item(index))
    elif isinstance(kind, inspect.LiteralType) and isinstance(value, str):
        choices = [str(choice) for choice in kind.values]
        if value not in choices:
            raise location.error(f"'{value}' is none of {', '.join(choices)}")


def _refuse_other_words(kind: inspect.UnionType, word: str, location: Location) -> None:
    """Raise for a word that is none of those which may stand in place of a number."""
    words = [
        one for part in kind.types if isinstance(part, inspect.LiteralType) for one in part.values
    ]
    number = any(isinstance(part, inspect.IntType) for part in kind.types)
    if words and number and word not in words:
        choices = " or ".join(f"'{one}'" for one in words)
        raise location.error(f"a number or {choices} was expected, not '{word}'")


def _told_by_its_tag(
    kind: inspect.UnionType, table: dict[str, Any], location: Location
) -> inspect.Type:
    """Return the kind of a union that `table` is, by the tag if there are several structs.

    Raises `ConfigError` if the tag is missing or unknown.
    """
    structs = [one for one in kind.types if isinstance(one, inspect.StructType)]
    if len(structs) < 2:
        return structs[0] if structs else inspect.AnyType()
    key = structs[0].tag_field or ""
    choices = ", ".join(str(one.tag) for one in structs)
    if key not in table:
        raise location.error(f"missing key `{key}`, one of {choices}")
    for one in structs:
        if table[key] == one.tag:
            return one
    raise location.key(key).error(f"{table[key]!r} is none of {choices}")


def _refuse_numbers(value: object, location: Location) -> None:
    """Raise for a number that cannot be written in JSON, and so in the journal."""
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_numbers(item, location.key(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_numbers(item, location.item(index))
    elif isinstance(value, float) and not math.isfinite(value):
        raise location.error(f"{value} is not a finite number")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise location.error("an integer beyond 64 bits")


def _placed(message: str, location: Location) -> ConfigError:
    """Return msgspec's error in words of TOML, with its path appended to `location`."""
    found = _AT.fullmatch(message)
    what, path = (found["what"], found["path"]) if found else (message, "")
    if path:
        dot = "." if location.path and not path.startswith("[") else ""
        location = Location(location.file, f"{location.path}{dot}{path}")
    what = what.replace("Object missing required field", "missing key")
    return location.error(re.sub(r"`([\w |]+)`", _toml_words, what))


def _toml_words(types: re.Match[str]) -> str:
    words = [_TOML_WORDS.get(word, word) for word in types[1].split(" | ") if word != "null"]
    return f"`{' or '.join(words)}`"

"""Runs in which every text that a user can write tries to run a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from benchmarks.page_run import Size, write_run
from perfsuite.domain.record import Header, Line
from perfsuite.store.journal import FILE, read

# Ends what it may stand in, asks for a file, calls `ran`, and is code to templates, too.
HOSTILE = (
    "\"'`</script></style></title></textarea>--><img src=x onerror=ran()><script>ran()</script>"
    '<svg onload=ran()></svg><a href="javascript:ran()">here</a><b>{{ran()}}${ran()}</b>%{x}'
    "&lt;&#60;\\u003c %7B 🙂 שלום"
)
SMALL = Size(1, 4, 3, processes=4, samples=20, modules=2, replicates=50)

# Texts that nobody can choose, or that must stay what they are for a run to be one.
_KEPT = {
    "Header": {"perfsuite"},
    "Cell": {"device", "precision"},
    "Line": {"cell", "key", "together", "artifact", "model"},
    "Measurement": {"metric", "unit"},
    "Accuracy": {"digest"},
    "Budget": {"metric"},
    "ResolvedSuite": {"devices", "precision"},
    "DeviceIdentity": {"kind"},
}
_NAMES = {"fp32", "pytorch", "cpu", "top1", "*"}  # that judging knows by heart
_GLOBS = {("Budget", "cell"), ("Budget", "against"), ("Expect", "recipe"), ("Expect", "runtime")}


def hostile(text: str) -> str:
    """Return the text with what tries to run a script."""
    return text if text in _NAMES else f"${text}{HOSTILE}"


def write_hostile_run(folder: Path, size: Size = SMALL) -> Path:
    """Write a run in `folder` in which every text is hostile; return it.

    Texts are found by their types, so that a field that comes later is hostile, too.
    """
    beside = folder.with_name(f"{folder.name}-as-it-was")
    header, lines, _ = read(write_run(beside, size))
    made = _hostile(header, Header)
    ids = dict(zip((one.id for one in header.cells), made.cells, strict=True))
    folder.mkdir()
    with (folder / FILE).open("wb") as file:
        file.write(msgspec.json.encode(made) + b"\n")
        for line in lines:
            cell = ids[line.cell]
            changed = msgspec.structs.replace(_hostile(line, Line), cell=cell.id, key=cell.key)
            file.write(msgspec.json.encode(changed) + b"\n")
    return folder


def _hostile(value: Any, kind: type) -> Any:
    changed = _walked(msgspec.to_builtins(value), inspect.type_info(kind))
    return msgspec.convert(changed, kind)


def _walked(value: Any, kind: inspect.Type) -> Any:
    """Return the value with each text in it made hostile whose type is no fixed choice."""
    if isinstance(kind, inspect.UnionType):
        kind = _member(value, kind)
    if isinstance(value, str):
        return hostile(value) if isinstance(kind, inspect.StrType | inspect.AnyType) else value
    if isinstance(value, dict):
        if isinstance(kind, inspect.StructType):
            return {
                field.encode_name: _field(value[field.encode_name], kind.cls.__name__, field)
                for field in kind.fields
                if field.encode_name in value
            }
        keys = getattr(kind, "key_type", inspect.AnyType())
        values = getattr(kind, "value_type", inspect.AnyType())
        return {_walked(key, keys): _walked(one, values) for key, one in value.items()}
    if isinstance(value, list | tuple):
        kinds = getattr(kind, "item_types", None)
        each = kinds or [getattr(kind, "item_type", inspect.AnyType())] * len(value)
        return [_walked(one, of) for one, of in zip(value, each, strict=True)]
    return value


def _field(value: Any, owner: str, field: inspect.Field) -> Any:
    if field.name in _KEPT.get(owner, ()):
        return value
    if (owner, field.name) in _GLOBS:
        parts = value.split("/")
        return "/".join(hostile(one) for one in parts)
    return _walked(value, field.type)


def _member(value: Any, kind: inspect.UnionType) -> inspect.Type:
    """Return the type of a union that the value has; of structs the first whose fields it has."""
    for one in kind.types:
        if isinstance(value, str) and isinstance(one, inspect.StrType):
            return one
        if isinstance(value, dict) and isinstance(one, inspect.StructType):
            names = {field.encode_name for field in one.fields} | {one.tag_field}
            if names >= set(value):
                return one
    return kind.types[0]

"""A suite that is written in Python, turned into the table that a file would hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import msgspec

from perfsuite.config.conversion import Location
from perfsuite.config.object_references import reference_of
from perfsuite.domain.meter import Meter
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.recipe import GraphPass, ModelPass
from perfsuite.domain.runtime import Runtime
from perfsuite.domain.suite import Budget, Evaluate, Expect, Measure, Require
from perfsuite.domain.workload import Workload

WorkloadReference = str | os.PathLike[str] | Workload | Callable[[], Workload]
RuntimeReference = str | Runtime | Callable[[], Runtime]


@dataclass(frozen=True)
class Recipe:
    """A named list of passes, model passes first: `Recipe("int8", [perfsuite.Int8()])`.

    `workloads` and `runtimes` limit it to those whose names match one of these patterns. What is
    `shipped` is run as it is, and has the keys of the file's table.
    """

    name: str
    passes: Sequence[ModelPass | GraphPass] = ()
    workloads: Sequence[str] | None = None
    runtimes: Sequence[str] | None = None
    shipped: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What to run and what to hold it to: the keys of a suite file, as arguments.

    What is None has the file's default; paths are relative to the working folder. Workloads,
    runtimes and meters may also be objects, if a Python file has them under a name at its top
    level: every job runs in a process of its own and imports that file. A program that holds them
    itself must call `perfsuite.run` below `if __name__ == "__main__":`. `name` is the first word of
    the folders in which runs are kept by default.
    """

    workloads: Sequence[WorkloadReference]
    runtimes: Sequence[RuntimeReference]
    recipes: Sequence[Recipe] = ()
    name: str = "suite"
    devices: Sequence[str] | None = None
    precision: Sequence[str] | None = None
    batches: Sequence[int] | None = None
    threads: int | None = None
    processes: int | Literal["auto"] | None = None
    max_processes: int | None = None
    minutes: float | None = None
    speedups_within: float | None = None
    evaluate: Evaluate | None = None
    measure: Measure | None = None
    samples: Mapping[str, str | os.PathLike[str]] | None = None
    shapes: Mapping[str, GivenShapes] | None = None
    detection: Mapping[str, Mapping[str, Any]] | None = None
    expect: Sequence[Expect] | None = None
    require: Sequence[Require] | None = None
    budgets: Sequence[Budget] | None = None
    compare: Literal["absolute", "ratio"] | None = None
    meters: Sequence[str | type[Meter]] | None = None
    hold_out: bool | None = None
    roofline: bool | None = None


def table_of(suite: Suite, location: Location) -> dict[str, Any]:
    """Return what a suite file would hold, as plain data; it is not yet checked.

    Raises `ConfigError`, beginning with `location`, for an object that no file holds.
    """
    from perfsuite.measure.meters.table import METERS
    from perfsuite.runtimes.table import RUNTIMES
    from perfsuite.workloads.table import WORKLOADS, check_no_module

    def workload(one: object, here: Location) -> str:
        check_no_module(one, str(here))
        return reference_of("workload", one, WORKLOADS, here)

    def runtime(one: object, here: Location) -> str:
        return reference_of("runtime", one, RUNTIMES, here)

    def meter(one: object, here: Location) -> str:
        return reference_of("meter", one, {name: find() for name, find in METERS.items()}, here)

    table = _given(suite)
    del table["name"]
    converters = {"workloads": workload, "runtimes": runtime, "meters": meter, "recipes": _recipe}
    for key, convert in converters.items():
        if key in table:
            table[key] = _each(table[key], convert, location.key(key))
    return {key: _plain(value) for key, value in table.items()}


def _given(written: Suite | Recipe) -> dict[str, Any]:
    """Return the fields that are not None."""
    values = {field.name: getattr(written, field.name) for field in fields(written)}
    return {name: value for name, value in values.items() if value is not None}


def _each(items: object, convert: Callable[[Any, Location], object], location: Location) -> object:
    """Return the converted items; what is no list is left for the table's own check."""
    if isinstance(items, str | Mapping) or not isinstance(items, Iterable):
        return items
    return [convert(item, location.item(index)) for index, item in enumerate(items)]


def _recipe(recipe: object, location: Location) -> object:
    if not isinstance(recipe, Recipe):
        raise location.error(f"a perfsuite.Recipe was expected, not {type(recipe).__name__}")
    table = _given(recipe)
    if recipe.shipped is not None and not recipe.passes:
        del table["passes"]
        return table
    table["passes"] = _each(recipe.passes, _pass, location.key("passes"))
    return table


def _pass(given: object, location: Location) -> dict[str, Any]:
    """Return the table of a pass: its name or `file.py:Class`, and the fields that it was given."""
    from perfsuite.passes.table import PASSES

    if isinstance(given, type):
        raise location.error(f"'{given.__name__}' is a class; write {given.__name__}(...)")
    if not isinstance(given, msgspec.Struct):
        raise location.error(
            f"a pass was expected, such as perfsuite.Int8(), not {type(given).__name__}"
        )
    table = {name: find() for name, find in PASSES.items()}
    return {"use": reference_of("pass", type(given), table, location), **_fields(given)}


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a struct that differ from their defaults, with its tag if it has one."""
    tag = struct.__struct_config__.tag_field
    plain: dict[str, Any] = {tag: struct.__struct_config__.tag} if tag else {}
    for field in msgspec.structs.fields(type(struct)):
        value, default = getattr(struct, field.name), field.default
        if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if default is msgspec.NODEFAULT or value != default:
            plain[field.encode_name] = _plain(value)
    return plain


def _plain(value: object) -> object:
    """Return a value as TOML would give it: tables, arrays, texts and numbers."""
    if isinstance(value, msgspec.Struct):
        return _fields(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    return value

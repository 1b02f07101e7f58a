"""A suite file is read and resolved; this needs no other file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from perfsuite.config.budget_rules import check_budget
from perfsuite.config.conversion import Location, convert
from perfsuite.config.naming import absolute, check_name, named, refuse_twins
from perfsuite.config.recipes import resolved_recipes
from perfsuite.config.requirements import resolved_requirements
from perfsuite.config.shapes import shapes_of
from perfsuite.config.suite_table import SuiteTable
from perfsuite.domain.looks import Looks
from perfsuite.domain.metrics import METRICS
from perfsuite.domain.suite import DetectionTable, Inspect, ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.measure.meters.table import METERS

# How long a process is profiled if there are budgets on stages.
JUDGED = Inspect(calls=10, seconds=1.0)


def read_suite(path: Path) -> ResolvedSuite:
    """Return the suite in the TOML file `path`; its name is the file's without `.toml`.

    Relative paths in it are relative to its folder. Raises `ConfigError` with the location of the
    first mistake. Whether names and files exist is checked by `check`.
    """
    location = Location(path.name)
    table = convert(read_toml(path), SuiteTable, location)
    return resolve(table, path.stem, path.resolve().parent, location)


def resolve(table: SuiteTable, name: str, folder: Path, location: Location) -> ResolvedSuite:
    """Return the suite of a table, its paths made absolute: relative ones are so to `folder`.

    Raises `ConfigError` with the place of the first mistake within `location`.
    """
    for key in ("workloads", "runtimes", "devices", "precision", "batches", "meters"):
        refuse_twins(getattr(table, key), location.key(key))
    for key in ("devices", "precision"):
        for index, one in enumerate(getattr(table, key)):
            check_name(one, location.key(key).item(index))
    meters = tuple(
        absolute(given, folder, location.key("meters").item(index))
        for index, given in enumerate(table.meters)
    )
    for index, budget in enumerate(table.budgets):
        if budget.metric not in METRICS and not METERS.keys() >= set(meters):
            continue  # a plug-in may define it, which `check` loads
        check_budget(budget, table.measure, METRICS, location.key("budgets").item(index))
    refuse_twins([budget.name for budget in table.budgets], location.key("budgets"), "name")
    runtimes = named(table.runtimes, folder, location.key("runtimes"))
    processes, looks = _processes(table, location)
    return ResolvedSuite(
        name=name,
        workloads=named(table.workloads, folder, location.key("workloads")),
        runtimes=tuple(runtimes),
        recipes=resolved_recipes(table.recipes, folder, location.key("recipes")),
        devices=table.devices,
        precision=table.precision,
        batches=table.batches,
        threads=table.threads,
        processes=processes,
        looks=looks,
        minutes=table.minutes,
        speedups_within=table.speedups_within,
        evaluate=table.evaluate,
        measure=table.measure,
        samples=_samples(table.samples, folder, location.key("samples")),
        shapes={
            name: shapes_of(given, location.key("shapes").key(name))
            for name, given in table.shapes.items()
        },
        detection={name: _detection(given, folder) for name, given in table.detection.items()},
        expect=table.expect,
        require=resolved_requirements(table.require, location.key("require")),
        budgets=table.budgets,
        compare=table.compare,
        meters=meters,
        hold_out=table.hold_out,
        runtime_files={name: given for name, given in runtimes.items() if name != given},
        inspect=_inspect(table),
    )


def _inspect(table: SuiteTable) -> Inspect:
    """Return how thoroughly cells are inspected: more where budgets are on stages."""
    how = JUDGED if any(budget.stage for budget in table.budgets) else Inspect()
    return msgspec.structs.replace(how, roofline=table.roofline)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a suite file; raise `ConfigError` if it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such suite file") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}): no TOML") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path.name}: tables or arrays are nested too deeply") from error


def _processes(table: SuiteTable, location: Location) -> tuple[int, Looks | None]:
    """Return how often cells are measured at most, and the plan if that follows from the run."""
    most, plan = table.max_processes, Looks()
    if table.processes != "auto":
        for key in ("max_processes", "minutes", "speedups_within"):
            if getattr(table, key) is not None:
                raise location.key(key).error(
                    f'is for processes = "auto", and processes is {table.processes}; '
                    f"remove one of them"
                )
        return table.processes, None
    if most is not None and most < plan.first:
        raise location.key("max_processes").error(
            f"is {most}, and verdicts are first looked at after {plan.first} processes; give at "
            f"least {plan.first}, or a fixed number: processes = {most}"
        )
    plan = Looks(plan.first, plan.most if most is None else most)
    return plan.most, plan


def _detection(table: DetectionTable, folder: Path) -> DetectionTable:
    """Return the table with its paths made absolute."""
    pictures = str((folder / table.pictures).resolve()) if table.pictures else ""
    annotations = str((folder / table.annotations).resolve())
    return msgspec.structs.replace(table, annotations=annotations, pictures=pictures)


def _samples(table: dict[str, Any], folder: Path, location: Location) -> dict[str, str]:
    for name, file in table.items():
        if not isinstance(file, str) or not file:
            raise location.key(name).error("the path of a samples file was expected, as a string")
    return {name: str((folder / file).resolve()) for name, file in table.items()}

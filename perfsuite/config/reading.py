"""A suite file to a resolved suite: everything that can be said about it without any other file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from perfsuite.config.budget_rules import check_budget
from perfsuite.config.conversion import Location, RecipeForm, SuiteForm, convert
from perfsuite.domain.recipe import FP32, OLD_RUNTIME_FIELD, PassUse, ResolvedRecipe
from perfsuite.domain.suite import Inspect, ResolvedSuite
from perfsuite.errors import ConfigError

# How long a process is profiled whose stages are held to a budget.
JUDGED = Inspect(calls=10, seconds=1.0)

_NAME = re.compile(r"[^\s/\\*?\[\]]+")


def read_suite(path: Path) -> ResolvedSuite:
    """Return the suite in the TOML file `path`; its name is the file's without `.toml`.

    Relative paths in it are relative to its folder. Raises `ConfigError` with the location of the
    first mistake. Whether names and files that it mentions exist is for `check` to say.
    """
    location = Location(path.name)
    form = convert(_table(path), SuiteForm, location)
    folder = path.resolve().parent
    for key in ("workloads", "runtimes", "devices", "precision", "batches"):
        _refuse_twins(getattr(form, key), location.key(key))
    for key in ("devices", "precision"):
        for index, name in enumerate(getattr(form, key)):
            _checked_name(name, location.key(key).item(index))
    for index, budget in enumerate(form.budgets):
        check_budget(budget, form.measure, location.key("budgets").item(index))
    _refuse_twins([budget.name for budget in form.budgets], location.key("budgets"), "name")
    runtimes = _named(form.runtimes, folder, location.key("runtimes"))
    return ResolvedSuite(
        name=path.stem,
        workloads=_named(form.workloads, folder, location.key("workloads")),
        runtimes=tuple(runtimes),
        recipes=_recipes(form.recipes, folder, location.key("recipes")),
        devices=form.devices,
        precision=form.precision,
        batches=form.batches,
        threads=form.threads,
        processes=form.processes,
        evaluate=form.evaluate,
        measure=form.measure,
        samples=_samples(form.samples, folder, location.key("samples")),
        expect=form.expect,
        budgets=form.budgets,
        compare=form.compare,
        runtime_files={name: given for name, given in runtimes.items() if name != given},
        inspect=JUDGED if any(budget.stage for budget in form.budgets) else Inspect(),
    )


def _table(path: Path) -> dict[str, Any]:
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


def _named(references: Sequence[str], folder: Path, location: Location) -> dict[str, str]:
    """Return the name used in cell keys to the reference, its path made absolute."""
    named: dict[str, str] = {}
    for index, given in enumerate(references):
        here = location.item(index)
        name, reference = name_and_reference(given, folder, here)
        if name in named:
            raise here.error(
                f"a second '{name}': keys of cells could not tell it from the first; rename one"
            )
        named[name] = reference
    return named


def name_and_reference(given: str, folder: Path, location: Location) -> tuple[str, str]:
    """Return the name used in cell keys, and the reference with its path absolute.

    Raises `ConfigError`, with `location`, for what no key can hold.
    """
    reference = _absolute(given, folder, location)
    if ".py:" in reference:
        name = reference.rpartition(":")[2]
    elif reference.endswith(".onnx"):
        name = Path(reference).stem
    else:
        name = reference
    _checked_name(name, location)
    return name, reference


def _recipes(
    forms: Iterable[RecipeForm], folder: Path, location: Location
) -> tuple[ResolvedRecipe, ...]:
    recipes = {FP32.name: FP32}
    for index, form in enumerate(forms):
        here = location.item(index)
        _checked_name(form.name, here.key("name"))
        if form.name == FP32.name:
            raise here.key("name").error(
                "'fp32' is the recipe without passes and always there; choose another name"
            )
        if form.name in recipes:
            raise here.key("name").error(f"a second recipe '{form.name}'; choose another name")
        passes = tuple(
            _pass_use(fields, folder, here.key("passes").item(step))
            for step, fields in enumerate(form.passes)
        )
        recipes[form.name] = ResolvedRecipe(form.name, passes, form.workloads, form.runtimes)
    return tuple(recipes.values())


def _pass_use(table: dict[str, Any], folder: Path, location: Location) -> PassUse:
    if "use" not in table:
        raise location.error("missing key `use`, the name of the pass or file.py:Name")
    use = table["use"]
    if not isinstance(use, str) or not use:
        raise location.key("use").error("a pass is named by a string, such as 'int8'")
    fields = {key: value for key, value in table.items() if key != "use"}
    for key in ("runtime", OLD_RUNTIME_FIELD):
        if isinstance(fields.get(key), str):
            fields[key] = _absolute(fields[key], folder, location.key(key))
    return PassUse(_absolute(use, folder, location.key("use")), fields)


def _samples(table: dict[str, Any], folder: Path, location: Location) -> dict[str, str]:
    for name, file in table.items():
        if not isinstance(file, str) or not file:
            raise location.key(name).error("the path of a samples file was expected, as a string")
    return {name: str((folder / file).resolve()) for name, file in table.items()}


def _absolute(reference: str, folder: Path, location: Location) -> str:
    """Return the reference with its path, if it has one, absolute."""
    if ".py:" in reference:
        file, _, name = reference.rpartition(":")
        if not name.isidentifier():
            raise location.error(f"'{name}' is no name in a Python file: write file.py:name")
        return f"{(folder / file).resolve()}:{name}"
    if reference.endswith(".onnx"):
        return str((folder / reference).resolve())
    return reference


def _checked_name(name: str, location: Location) -> None:
    """Raise for a name that cannot stand in a cell's key, which globs match."""
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise location.error(
            f"{name!r} cannot be a name: no '/', no '\\', no spaces, none of * ? [ ], not empty"
        )


def _refuse_twins(values: Sequence[object], location: Location, key: str = "") -> None:
    for index, value in enumerate(values):
        first = values.index(value)
        if first < index:
            here = location.item(index)
            raise (here.key(key) if key else here).error(f"{value!r} stands at [{first}] already")

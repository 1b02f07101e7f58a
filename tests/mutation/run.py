"""Plant bugs with mutmut, one at a time, and fail where one lives that is not known to be none.

    python tests/mutation/run.py             go on where the last run ended
    python tests/mutation/run.py --again     and try once more all that lived
    python tests/mutation/run.py --show      run nothing, print what is known

Which files are mutated, and the tests, stand in pyproject.toml, [tool.mutmut]. For each mutant
mutmut runs the tests that call the mutated function, in a fork of one process that has imported
all; it keeps its copy of the sources, and what became of each mutant, in `mutants/`. Mutants that
change nothing that anybody could see are listed, with the reason, in `equivalent.toml`.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import libcst as cst
import mutmut.__main__ as mutmut
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

ROOT = Path(__file__).parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
NEEDED = 0.9  # the share of each package's mutants that must die
# As mutmut counts them: a mutant that never ends, or that crashes, was noticed.
DEAD = ("killed", "timeout", "segfault")
PRELOADED = ("numpy", "onnx", "onnxruntime", "scipy.stats", "torch")
# Of this file the keys alone are mutated: the rest is tried in minutes a test, on torch.
ONLY = {
    "perfsuite/runner/build/variants.py": {
        "_key",
        "_runtime_of",
        "target",
        "model_key",
        "_identity",
        "data_key",
        "_model_steps",
        "edits_key",
        "_export_key",
    }
}


class Prepare(cst.CSTTransformer):
    """Writes `@property def f` as `def f` and `f = property(f)`.

    mutmut leaves decorated code alone, but keys of the cache are properties, and locks are context
    managers. Functions that are not to be mutated get mutmut's mark.
    """

    decorators = ("property", "cached_property", "contextmanager", "lru_cache")

    def __init__(self, only: set[str] | None) -> None:
        super().__init__()
        self.only = only

    def leave_FunctionDef(  # noqa: N802 - libcst's name
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        name = cst.Name(updated_node.name.value)
        if self.only is not None and name.value not in self.only:
            mark = cst.TrailingWhitespace(
                cst.SimpleWhitespace("  "), cst.Comment("# pragma: no mutate block")
            )
            return updated_node.with_changes(body=updated_node.body.with_changes(header=mark))
        decorator = _single(updated_node.decorators)
        called = decorator.func if isinstance(decorator, cst.Call) else decorator
        if not isinstance(called, cst.Name) or called.value not in self.decorators:
            return updated_node
        assert decorator is not None
        assign = cst.Assign([cst.AssignTarget(name)], cst.Call(decorator, [cst.Arg(name)]))
        return cst.FlattenSentinel(
            [updated_node.with_changes(decorators=[]), cst.SimpleStatementLine([assign])]
        )


def _single(decorators: Iterable[cst.Decorator]) -> cst.BaseExpression | None:
    found = [one.decorator for one in decorators]
    return found[0] if len(found) == 1 else None


_mutate = mutmut.mutate_file_contents


def mutate(filename: str, code: str, *more: object) -> object:
    """Return mutmut's mutants of a file that was prepared for it."""
    only = ONLY.get(str(filename))
    return _mutate(filename, cst.parse_module(code).visit(Prepare(only)).code, *more)


class Change(NamedTuple):
    """What a mutant changes: in which function, the lines that were, and those that are instead."""

    function: str  # path:function, or path:class.method
    was: str
    becomes: str


def change(name: str, path: str) -> Change:
    """Return what the mutant `name` of a file changes."""
    diff = get_diff_for_mutant(name, path=path).splitlines()[2:]
    was = " ".join(line[1:].strip() for line in diff if line.startswith("-"))
    becomes = " ".join(line[1:].strip() for line in diff if line.startswith("+"))
    function, owner = orig_function_and_class_names_from_key(name)
    return Change(f"{path}:{owner}.{function}" if owner else f"{path}:{function}", was, becomes)


class Known:
    """The mutants that are known to be equivalent, and whether each was met."""

    def __init__(self, listed: dict[str, list[dict[str, Any]]]) -> None:
        self.mutants = {
            Change(one["function"], one["was"], becomes): False
            for one in listed.get("mutant", [])
            for becomes in one["becomes"]
        }
        self.kinds = {
            (one["was"], becomes): False
            for one in listed.get("kind", [])
            for becomes in one["becomes"]
        }

    def has(self, changed: Change) -> bool:
        """Return whether a mutant is equivalent: by itself, or as one of a kind."""
        if changed in self.mutants:
            self.mutants[changed] = True
            return True
        for was, becomes in self.kinds:
            # The kind's text may stand several times in the changed line; one of them is changed.
            parts = changed.was.split(was)
            for at in range(1, len(parts)):
                if was.join(parts[:at]) + becomes + was.join(parts[at:]) == changed.becomes:
                    self.kinds[was, becomes] = True
                    return True
        return False

    def unmet(self) -> list[str]:
        """Return what is listed and does not live."""
        return [str(one) for one, met in (*self.mutants.items(), *self.kinds.items()) if not met]


def results() -> dict[str, dict[str, str]]:
    """Return for each mutated file its mutants and what became of them."""
    found = {}
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        states = {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items()}
        if states:
            found[str(path)] = states
    return found


def forget() -> None:
    """Forget what lived, and which tests call what: changed tests may call other functions."""
    (ROOT / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            if status_by_exit_code[code] not in DEAD:
                data.exit_code_by_key[name] = None
        if data.exit_code_by_key:
            data.save()


def report(found: dict[str, dict[str, str]]) -> bool:
    """Print what lives and the figures by file and package; return whether they are good."""
    known = Known(tomllib.loads(EQUIVALENT.read_text()) if EQUIVALENT.exists() else {})
    rows: dict[str, Counter[str]] = {}
    for path, states in found.items():
        row = rows.setdefault(path, Counter())
        for name, state in states.items():
            row["mutants"] += 1
            if state in DEAD:
                row["killed"] += 1
            elif known.has(changed := change(name, path)):
                row["equivalent"] += 1
            else:
                row["lives"] += 1
                print(
                    f"{changed.function} [{state}] {name}\n  - {changed.was}\n  + {changed.becomes}"
                )
    packages: dict[str, Counter[str]] = {}
    for path, row in rows.items():
        packages.setdefault(_package(path), Counter()).update(row)
    total = sum(rows.values(), Counter())
    print(f"{'':44} {'mutants':>8} {'killed':>8} {'share':>7} {'equivalent':>11} {'live':>6}")
    for name, row in (*rows.items(), *packages.items(), ("together", total)):
        share = row["killed"] / row["mutants"]
        columns = f"{row['mutants']:8} {row['killed']:8} {share:7.1%} {row['equivalent']:11}"
        print(f"{name:44} {columns} {row['lives']:6}")
    unmet = known.unmet()
    for one in unmet:
        print(f"{EQUIVALENT.name}: it does not live: {one}")
    enough = all(row["killed"] >= NEEDED * row["mutants"] for row in packages.values())
    return enough and not total["lives"] and not unmet


def _package(path: str) -> str:
    """Return the name under which a file's mutants are counted."""
    if path in ("perfsuite/domain/cell.py", "perfsuite/domain/device.py") or "/build/" in path:
        return "the keys"
    return "/".join(path.split("/")[: 3 if "passes" in path else 2])


def main() -> int:
    """Return 0 if nine in ten mutants of each package die and all others are equivalent."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", action="store_true", help="run nothing, print what is known")
    parser.add_argument("--again", action="store_true", help="try once more what lived")
    parser.add_argument("--children", type=int, default=os.cpu_count(), help="how many at a time")
    options = parser.parse_args()
    os.chdir(ROOT)
    # Tests start processes of their own, which must import the mutated package too.
    os.environ["PYTHONPATH"] = str(ROOT / "mutants")
    # Looking for garbage of a session would take four times as long as the tests of a mutant.
    os.environ["PYTEST_ADDOPTS"] = "-p no:unraisableexception"
    mutmut.mutate_file_contents = mutate
    if not options.show:
        for module in PRELOADED:  # in the process that is forked: no mutant imports them again
            importlib.import_module(module)
        gc.freeze()
        if options.again:
            forget()
        mutmut._run([], options.children)
    return 0 if report(results()) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What no machine can do, told by the suite alone: nothing is loaded or made for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfsuite.config.checking import make_pass
from perfsuite.config.expansion import expects
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import is_graph_pass
from perfsuite.domain.suite import ResolvedSuite


def refusals(suite: ResolvedSuite, cells: Sequence[Cell]) -> dict[str, str]:
    """Return, by cell key, why cells will be `unsupported` that are not expected to.

    Of plug-ins, which are loaded only in a run, nothing is known here.
    """
    found = {cell.key: _refusal(suite, cell) for cell in cells if not _is_expected(suite, cell)}
    return {key: why for key, why in found.items() if why}


def _is_expected(suite: ResolvedSuite, cell: Cell) -> bool:
    return any(one.status == "unsupported" and expects(one, cell) for one in suite.expect)


def _refusal(suite: ResolvedSuite, cell: Cell) -> str:
    from perfsuite.runtimes.table import RUNTIMES

    recipe = next(one for one in suite.recipes if one.name == cell.recipe)
    if recipe.shipped is not None:
        return ""
    named = suite.runtime(cell.runtime)
    runtime = RUNTIMES[named]() if named in RUNTIMES else None
    passes = [(use.use, make_pass(use)) for use in recipe.passes]
    if runtime is not None:
        if why := lacking(runtime, cell.device, cell.precision):
            return why
        for use, made in passes:
            if why := refused_by(runtime, use, made):
                return why
    if suite.workloads[cell.workload].endswith(".onnx"):
        for use, made in passes:
            if not is_graph_pass(made):
                return needs_module(use, cell.workload)
        if runtime is not None and runtime.takes == "module":
            return takes_modules(runtime)
    return ""


def lacking(runtime: Any, device: str, precision: str) -> str:
    """Return that a runtime has not this device or this precision; '' if it has both."""
    for what, asked, known in (
        ("device", device, runtime.devices),
        ("precision", precision, runtime.precisions),
    ):
        if asked not in known:
            return (
                f"{runtime.name}: {what} '{asked}' is not supported; it supports {', '.join(known)}"
            )
    return ""


def refused_by(runtime: Any, use: str, made: Any) -> str:
    """Return why a runtime cannot run what a pass makes; '' if it can, by what both say."""
    if is_graph_pass(made) and runtime.takes == "module":
        return (
            f"{use} on {runtime.name}: it changes the graph that is exported, and "
            f"{runtime.name} takes the module; these take graphs: {_takers_of_graphs()}"
        )
    return ""


def needs_module(use: str, workload: str) -> str:
    """Return why a pass on the module cannot change an ONNX file."""
    return (
        f"{use} on {workload}: a model pass needs the torch module, and this model is an ONNX file"
    )


def takes_modules(runtime: Any) -> str:
    """Return why an engine that runs modules cannot run an ONNX file."""
    return f"{runtime.name} takes torch modules, not an ONNX file"


def _takers_of_graphs() -> str:
    from perfsuite.runtimes.table import RUNTIMES

    names = [name for name, make in RUNTIMES.items() if make().takes == "graph"]
    return ", ".join([*names, "and a runtime of your own that does"])

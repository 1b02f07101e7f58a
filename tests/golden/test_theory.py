"""Whole outputs of a run of pruned nets, compared with files; run this file to write them anew."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.profile import OVERHEAD, Breakdown, BreakdownRow
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.record import Accuracy, Header, LayerWidth, Record, Run
from perfsuite.domain.suite import Budget, ResolvedSuite
from perfsuite.judge import judge
from perfsuite.report import print_run, render

HERE = Path(__file__).parent / "test_theory"
HALF, LOW, INT8 = PassUse("prune", {"ratio": 0.5}), PassUse("lowrank"), PassUse("int8")
RECIPES = (
    FP32,
    ResolvedRecipe("half", (HALF,)),
    ResolvedRecipe("half-int8", (HALF, INT8)),
    ResolvedRecipe("half-low", (HALF, LOW)),
    ResolvedRecipe("low", (LOW,)),
    ResolvedRecipe("[odd]|name", (PassUse("prune", {"ratio": 0.05}),)),
)
# MACs and parameters in millions, milliseconds of each process, and the accuracy.
FOUND: dict[str, tuple[float, float, tuple[float, ...], float]] = {
    "fp32": (313.0, 14.7, (4.10, 4.05, 4.12, 4.08), 0.9335),
    "half": (156.0, 4.6, (2.38, 2.41, 2.37, 2.40), 0.9301),
    "half-int8": (156.0, 4.6, (0.61, 0.60, 0.62, 0.60), 0.9298),
    "half-low": (110.0, 3.1, (2.52, 2.55, 2.50, 2.53), 0.9262),
    "low": (200.0, 6.0, (4.60, 2.70, 3.40, 4.30), 0.9310),
    "[odd]|name": (307.0, 14.1, (4.09, 4.06, 4.11, 4.08), 0.9334),
}
WHERE = {
    "half": (("features.3", 1.2, 80), ("features.7", 0.9, 75)),
    "half-low": (("features.3", 1.5, 40), ("features.7", 0.8, 70)),
}
CUT = (LayerWidth("features.3", 64, 40), LayerWidth("features.7", 128, 0))
HEAD = LayerWidth("classifier", 10, 10, left="its channels are an output of the model")
LAYERS = {
    "half": (*CUT, HEAD),
    "half-int8": (*CUT, HEAD),
    "half-low": (LayerWidth("features.3", 64, 40, ranks=(12, 16)), *CUT[1:], HEAD),
    "[odd]|name": (LayerWidth("features.3", 64, 60), LayerWidth("features.7", 128, 128), HEAD),
}


def pruned() -> Run:
    """Six recipes on one engine: proven faster, slower, undecided, and without a change of MACs."""
    against = "vgg16-cifar10/fp32/openvino/*"
    suite = ResolvedSuite(
        "prune",
        {"vgg16-cifar10": "vgg16-cifar10"},
        ("openvino",),
        RECIPES,
        processes=4,
        budgets=tuple(
            Budget(f"{name} keeps its word", "latency_s", f"*/{name}/*", against, min_realised=n)
            for name, n in [("half", 0.8), ("low", 0.7)]
        ),
    )
    machine = MustMatch("Xeon", 6, 143, 8, ("avx512f",), {"L2": 2097152}, 2, 2.0)
    cells = tuple(Cell("vgg16-cifar10", recipe.name, "openvino") for recipe in RECIPES)
    header = Header(1, "0.1", "2026-01-02T03:04:05Z", suite, cells, Environment(machine, {}, {}))
    return Run(header, {one.id: _record(one) for one in cells})


def _record(cell: Cell) -> Record:
    macs, parameters, latencies_ms, top1 = FOUND[cell.recipe]
    values: dict[str, Any] = {"macs": (macs * 1e6,), "parameters": (parameters * 1e6,)}
    return Record(
        cell=cell,
        status="ok",
        latencies_s={number: (one / 1e3,) * 3 for number, one in enumerate(latencies_ms)},
        values=values,
        accuracies=(
            Accuracy("top1", top1, 10_000, "d", tuple(top1 + n / 1e4 for n in range(-9, 10))),
        ),
        evidence=None,
        labels=(),
        error=None,
        breakdown=_breakdown(cell.recipe),
        widths=LAYERS.get(cell.recipe, ()),
    )


def _breakdown(recipe: str) -> Breakdown | None:
    if recipe not in WHERE:
        return None
    rows = tuple(BreakdownRow(name, "module", ms / 1e3, n * 10**6) for name, ms, n in WHERE[recipe])
    time_s, macs = sum(row.time_s for row in rows), sum(row.macs or 0 for row in rows)
    body = BreakdownRow("features", "stage", time_s, macs, children=rows)
    return Breakdown(time_s + 0.0002, 8, (body, BreakdownRow(OVERHEAD, "rest", 0.0002)))


def _printed(width: int, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    print_run(console, pruned(), judge(pruned()))
    stream.flush()
    return "\n".join(one.rstrip() for one in stream.buffer.getvalue().decode().split("\n"))


OUTPUTS = {
    "terminal.txt": lambda: _printed(120),
    "ascii.txt": lambda: _printed(120, "ascii"),
    "eighty.txt": lambda: _printed(80),
    "run.md": lambda: render(pruned(), judge(pruned()), "md"),
    "run.csv": lambda: render(pruned(), judge(pruned()), "csv"),
    "run.json": lambda: render(pruned(), judge(pruned()), "json"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_is_as_it_was(name: str) -> None:
    golden = (HERE / name).read_text(encoding="utf-8")
    assert _rounded(OUTPUTS[name]()) == _rounded(golden)


def _rounded(text: str) -> str:
    """Return the text without the last digits of floats, which differ between processors."""
    return re.sub(r"\d+\.\d{9,}(e-?\d+)?", lambda found: f"{float(found[0]):.9g}", text)


def _write_all() -> None:
    HERE.mkdir(exist_ok=True)
    for name, make in OUTPUTS.items():
        (HERE / name).write_text(make(), encoding="utf-8")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    _write_all()

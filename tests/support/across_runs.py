"""Runs by hand of INT8 on other processors: what was answered here and there."""

from __future__ import annotations

import numpy as np

from perfsuite.domain.across import Across, NotTried
from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.recipe import PassUse, ResolvedRecipe
from perfsuite.domain.record import (
    OVERFLOWS,
    SCHEMA,
    Accuracy,
    Evidence,
    Header,
    Line,
    Measurement,
    Run,
)
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.store.runs import fold

PROCESSES, SAMPLES = 3, 200
NATIVE, PORTABLE = (
    Cell("net", recipe, "openvino", threads=2) for recipe in ("int8", "int8-portable")
)
AVX2 = {"switch": "onednn-avx2"}
_RECIPES = (
    ResolvedRecipe("int8", (PassUse("int8"),)),
    ResolvedRecipe("int8-portable", (PassUse("int8", {"portable": True}),)),
)
_MACHINE = MustMatch("a processor", 1, 2, 3, ("avx2", "avx512_vnni"), {}, 2, None)


def accuracy(value: float, spread: float = 0.0, digest: str = "samples") -> Accuracy:
    """Return an accuracy whose resamplings are off by up to `spread`, the same for all."""
    replicates = value + np.linspace(-spread, spread, 1000)
    return Accuracy("top1", value, SAMPLES, digest, tuple(replicates.tolist()))


def answered(cell: Cell, found: Accuracy, *, overflows: bool = True) -> list[Line]:
    """Return the lines of a cell that only answers, as another processor would."""
    labels = (OVERFLOWS,) if overflows else ()
    return [
        Line(cell.id, cell.key, "prepare", "ok", artifact="a" * 64),
        Line(cell.id, cell.key, "evaluate", "ok", accuracies=(found,), labels=labels),
    ]


def timed(cell: Cell, found: Accuracy, latency_s: float) -> list[Line]:
    """Return the lines of a cell that is measured here; its processes differ a little."""
    lines = answered(cell, found, overflows=False)
    lines.append(Line(cell.id, cell.key, "inspect", "ok", evidence=Evidence()))
    for number in range(PROCESSES):
        samples = (latency_s * (1 + 0.001 * number),) * 5
        one = Measurement(LATENCY, "s", samples)
        lines.append(
            Line(cell.id, cell.key, "measure", "ok", round=number, order=0, measurements=(one,))
        )
    return lines


def run(
    cells: tuple[Cell, ...],
    lines: list[Line],
    *,
    not_tried: tuple[NotTried, ...] = (),
    across: bool = True,
) -> Run:
    """Return the run of these cells and lines."""
    asked = Across("int8", "int8-portable", {"openvino": SAMPLES}, not_tried)
    suite = ResolvedSuite(
        "across-net",
        {"net": "net"},
        ("openvino",),
        _RECIPES,
        processes=PROCESSES,
        across=asked if across else None,
    )
    made = "2026-01-01T00:00:00+00:00"
    return fold(Header(SCHEMA, "1", made, suite, cells, Environment(_MACHINE, {}, {})), lines)

"""A made-up run of any size, with everything that a report of a run can show.

Nothing of it was measured: it is there to look at pages, and to time how they are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.finding import Finding, LayerKernel
from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow, Roofline
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.record import (
    SCHEMA,
    Accuracy,
    Evidence,
    EvidenceItem,
    Failure,
    Header,
    LayerWidth,
    Likeness,
    Line,
    Measurement,
)
from perfsuite.domain.suite import Budget, Expect, ResolvedSuite
from perfsuite.store.journal import FILE

WORKLOADS = ("classifier", "detector", "captioner", "keypoints", "embedding")
RUNTIMES = ("pytorch", "onnxruntime", "openvino", "torch-compile")
# How many of the MACs and of the time a recipe leaves, and the points of accuracy that it costs.
RECIPES = {
    "fp32": (1.0, 1.0, 0.0),
    "int8": (1.0, 0.4, 0.2),
    "prune-2x": (0.5, 0.6, 0.3),
    "prune-4x": (0.25, 0.4, 0.9),
    "prune-8x": (0.125, 0.3, 2.5),
    "lowrank-2x": (0.5, 0.7, 0.6),
    "distill": (0.2, 0.3, 1.1),
    "prune-2x-int8": (0.5, 0.25, 0.5),
    "lowrank-2x-int8": (0.5, 0.35, 0.8),
    "distill-int8": (0.2, 0.15, 1.4),
}
SPEED = {"pytorch": 1.0, "onnxruntime": 0.4, "openvino": 0.35, "torch-compile": 0.7}
STAGES = ("transform", "backbone", "fpn", "rpn", "roi_heads")
FLAGS = ("avx2", "avx512f", "avx512_vnni")
DEVICE = DeviceIdentity("cpu", "a made-up processor", FLAGS)
SLICES = 10


class Size(NamedTuple):
    """How much there is of everything; by default 200 cells of 8 processes with 200 samples."""

    workloads: int = len(WORKLOADS)
    recipes: int = len(RECIPES)
    runtimes: int = len(RUNTIMES)
    processes: int = 8
    samples: int = 200
    modules: int = 8  # of each stage, with as many operators each
    replicates: int = 1000


def write_run(folder: Path, size: Size = Size()) -> Path:  # noqa: B008 - a Size never changes
    """Write a run of this size into `folder`, which is made; return it.

    INT8 on PyTorch is unsupported, as everywhere, and the last cell has crashed.
    """
    header = _header(size)
    folder.mkdir(parents=True)
    with (folder / FILE).open("wb") as file:
        file.write(msgspec.json.encode(header) + b"\n")
        for number, cell in enumerate(header.cells):
            for line in _lines(number, cell, number == len(header.cells) - 1, size):
                file.write(msgspec.json.encode(line) + b"\n")
    return folder


def _header(size: Size) -> Header:
    workloads = WORKLOADS[: size.workloads]
    recipes = tuple(RECIPES)[: size.recipes]
    runtimes = RUNTIMES[: size.runtimes]
    budgets = tuple(
        Budget(f"the {name} is twice as fast", "latency_s", f"{name}/int8/openvino/*",
               f"{name}/fp32/pytorch/*", min_speedup=2.0)
        for name in workloads
    ) + tuple(
        Budget(f"the {name} loses at most one point", "top1", f"{name}/*/openvino/*",
               f"{name}/fp32/pytorch/*", max_drop_points=1.0)
        for name in workloads
    )  # fmt: skip
    suite = ResolvedSuite(
        "made up",
        {name: name for name in workloads},
        runtimes,
        tuple(map(ResolvedRecipe, recipes)),
        threads=2,
        processes=size.processes,
        expect=(
            Expect("unsupported", "INT8 graphs run on engines that take ONNX", recipe="*int8",
                   runtime="pytorch"),
        ),
        budgets=budgets,
    )  # fmt: skip
    cells = tuple(
        Cell(workload, recipe, runtime, threads=2)
        for workload in workloads
        for recipe in recipes
        for runtime in runtimes
    )
    machine = MustMatch("a made-up processor", 6, 143, 8, FLAGS, {"L1d": 49152}, 2, None)
    environment = Environment(
        machine, {"torch": "2.14.1", "openvino": "2026.4.1"}, {"system": "Linux"}
    )
    return Header(
        SCHEMA,
        "0.1.0",
        "2026-11-27T03:55:15+00:00",
        suite,
        cells,
        environment,
        files={"my_models.py": "0" * 64},
    )


def _lines(number: int, cell: Cell, crashed: bool, size: Size) -> Iterator[Line]:
    rng = np.random.default_rng(number)
    if cell.recipe.endswith("int8") and cell.runtime == "pytorch":
        failure = Failure("Unsupported", "INT8 graphs (Q/DQ) run on engines that take ONNX")
        yield Line(cell.id, cell.key, "prepare", "unsupported", error=failure, device=DEVICE)
        return
    yield _prepared(cell, size)
    if crashed:
        failure = Failure("BuildError", "the worker ended with signal 11", "Segmentation fault")
        yield Line(cell.id, cell.key, "inspect", "failed", error=failure, device=DEVICE)
        return
    yield Line(
        cell.id,
        cell.key,
        "evaluate",
        "ok",
        accuracies=tuple(_accuracy(cell, name, size, rng) for name in ("top1", "top5")),
        device=DEVICE,
    )
    yield _inspected(cell, size)
    for place in range(size.processes):
        yield _measured(cell, place, size, rng)


def _latency_s(cell: Cell) -> float:
    size = 0.004 * (1 + WORKLOADS.index(cell.workload))
    return size * RECIPES[cell.recipe][1] * SPEED[cell.runtime]


def _prepared(cell: Cell, size: Size) -> Line:
    share, _, _ = RECIPES[cell.recipe]
    macs = 313e6 * share
    changed = cell.recipe not in ("fp32", "int8")
    return Line(
        cell.id,
        cell.key,
        "prepare",
        "ok",
        started_at="2026-11-27T03:55:15+00:00",
        artifact=hashlib.sha256(cell.id.encode()).hexdigest(),
        labels=("unsteady",) if cell.runtime == "torch-compile" else (),
        measurements=(
            Measurement("build_s", "s", (2.7,)),
            Measurement("artifact_bytes", "B", (58.9e6 * share,)),
            Measurement("macs", "1", (macs,)),
            Measurement("parameters", "1", (14.7e6 * share,)),
        ),
        widths=tuple(
            LayerWidth(f"{stage}.{number}.conv", 64, max(1, int(64 * share)))
            for stage in STAGES
            for number in range(size.modules)
        )
        if changed
        else (),
        likeness=(Likeness("logits", 0.998, 0.06, 256),) if changed else (),
        left={"head.fc": "the last layer stays in float"} if "int8" in cell.recipe else {},
        device=DEVICE,
        input_shapes={"images": ((1, 3, 224, 224),)},
    )


def _accuracy(cell: Cell, metric: str, size: Size, rng: np.random.Generator) -> Accuracy:
    value = (0.93 if metric == "top1" else 0.99) - RECIPES[cell.recipe][2] / 100
    replicates = value + rng.normal(0, 0.002, size.replicates)
    return Accuracy(metric, value, 2000, "samples", tuple(np.round(replicates, 6).tolist()))


def _inspected(cell: Cell, size: Size) -> Line:
    call_s = _latency_s(cell)
    instruction_set = "AVX-512 VNNI" if "int8" in cell.recipe else "AVX-512"
    kernel = "brgconv:avx512_core_vnni" if "int8" in cell.recipe else "jit:avx512_core"
    layers = tuple(
        LayerKernel(f"{stage}.{number}.conv", "Conv", kernel, "oneDNN", instruction_set)
        for stage in STAGES
        for number in range(size.modules)
    )
    finding = Finding(
        "two-openmp",
        "OpenMP",
        "two OpenMP libraries are loaded",
        "start Python with one",
        "observed",
        "caution",
    )
    rows = tuple(_stage(stage, call_s, place, size) for place, stage in enumerate(STAGES))
    rest = (
        BreakdownRow(OVERHEAD, "rest", 0.04 * call_s),
        BreakdownRow(UNATTRIBUTED, "rest", 0.01 * call_s),
    )
    return Line(
        cell.id,
        cell.key,
        "inspect",
        "ok",
        measurements=tuple(
            Measurement("stage_s", "s", (row.time_s,), row.name) for row in (*rows, *rest)
        ),
        evidence=Evidence(
            (
                EvidenceItem("observed", "library", "oneDNN", "3.7"),
                EvidenceItem("reported", "threads", "intra-op", "2"),
            ),
            {"Conv fp32": len(layers)},
            layers,
            (finding,) if cell.runtime == "pytorch" else (),
        ),
        breakdown=Breakdown(call_s, 4, (*rows, *rest), untraced_s=0.98 * call_s),
        roofline=Roofline(2e11, 2e10, 2, cell.precision),
        int8_share=0.97 if "int8" in cell.recipe else None,
        device=DEVICE,
    )


def _stage(name: str, call_s: float, place: int, size: Size) -> BreakdownRow:
    """Return a stage; together the stages take 95 % of the call."""
    share = 0.95 * (2.0, 5.0, 1.0, 1.0, 1.0)[place] / 10
    count = size.modules
    modules = []
    for module in range(count):
        part_s = share * call_s / count
        operators = tuple(
            BreakdownRow(
                f"{name}.{module}/conv{operator}",
                "operator",
                part_s / count,
                1_000_000,
                4096,
                65536,
                start_s=part_s * (module + operator / count),
            )
            for operator in range(count)
        )
        macs, weights, moved = count * 1_000_000, count * 4096, count * 65536
        modules.append(
            BreakdownRow(f"{name}.{module}", "module", part_s, macs, weights, moved, operators)
        )
    macs, weights, moved = count**2 * 1_000_000, count**2 * 4096, count**2 * 65536
    return BreakdownRow(name, "stage", share * call_s, macs, weights, moved, tuple(modules))


def _measured(cell: Cell, place: int, size: Size, rng: np.random.Generator) -> Line:
    level = _latency_s(cell) * np.exp(rng.normal(0, 0.01))
    samples = level * np.exp(rng.normal(0, 0.03, size.samples))
    counts = tuple(len(part) for part in np.array_split(samples, SLICES))
    return Line(
        cell.id,
        cell.key,
        "measure",
        "ok",
        round=place,
        order=0,
        together=f"{cell.workload}-{place}",
        artifact=hashlib.sha256(cell.id.encode()).hexdigest(),
        measurements=(
            Measurement("latency_s", "s", tuple(np.round(samples, 9).tolist()), slices=counts),
            Measurement("load_s", "s", (0.1,)),
            Measurement("run_peak_bytes", "B", (312e6,)),
        ),
        device=DEVICE,
    )

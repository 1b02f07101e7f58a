"""A run whose cells end in every way, with names that are markup elsewhere."""

from __future__ import annotations

from typing import Any

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.finding import Finding
from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow
from perfsuite.domain.recipe import FP32, ResolvedRecipe
from perfsuite.domain.record import (
    Accuracy,
    Evidence,
    EvidenceItem,
    Failure,
    Header,
    Record,
    Run,
)
from perfsuite.domain.suite import Budget, Expect, ResolvedSuite


def run(factor: float = 1.0) -> Run:
    """Five cells: ok, ok but unsteady, failed, expected to be unsupported, and cut short."""
    cells = tuple(
        Cell(workload, recipe, runtime, threads=2)
        for workload, recipe, runtime in [
            ("vgg16-cifar10", "fp32", "pytorch"),
            ("vgg16-cifar10", "int8", "openvino"),
            ("vgg16-cifar10", "int8", "onnxruntime"),
            ("vgg16-cifar10", "int8", "pytorch"),
            ("[red]net|x", "fp32", "fake"),
        ]
    )
    suite = ResolvedSuite(
        "demo",
        {"vgg16-cifar10": "vgg16-cifar10", "[red]net|x": "net.py:x"},
        ("pytorch", "openvino", "onnxruntime", "fake"),
        (FP32, ResolvedRecipe("int8")),
        processes=4,
        threads=2,
        expect=(
            Expect("unsupported", "Q/DQ graphs run on ONNX engines", recipe="int8", runtime="py*"),
        ),
        budgets=(
            Budget(
                "VGG may lose one point",
                "top1",
                cell="vgg16-cifar10/int8/openvino/*",
                against="vgg16-cifar10/fp32/pytorch/*",
                max_drop_points=1.0,
            ),
            Budget(
                "and must be five times faster",
                "latency_s",
                cell="vgg16-cifar10/int8/*",
                against="vgg16-cifar10/fp32/pytorch/*",
                min_speedup=5.0,
            ),
            Budget("small [bold]", "artifact_bytes", cell="vgg16-cifar10/int8/openvino/*", max=1e7),
        ),
    )
    machine = MustMatch("Xeon", 6, 143, 8, ("avx512f",), {"L2": 2097152}, 2, 2.0)
    header = Header(
        1, "0.1", "2026-01-02T03:04:05Z", suite, cells, Environment(machine, {"torch": "2.15"}, {})
    )
    records = [
        _record(
            cells[0],
            latencies_s=_rounds(0.0123, 0.0125, 0.0121, 0.0124),
            values={"run_peak_bytes": (312e6, 314e6), "artifact_bytes": (58.9e6,)},
            evidence=Evidence((EvidenceItem("reported", "instruction set", "PyTorch", "AVX512"),)),
            accuracies=(
                Accuracy("top1", 0.9261, 2000, "d", tuple(0.926 + n / 5e4 for n in range(11))),
                Accuracy("top5", 0.9951, 2000, "d", tuple(0.995 + n / 5e4 for n in range(11))),
            ),
        ),
        _record(
            cells[1],
            latencies_s=_rounds(*(factor * one for one in (0.00110, 0.00108, 0.00112, 0.00109))),
            values={"run_peak_bytes": (101e6, 99e6), "artifact_bytes": (14.9e6,)},
            evidence=Evidence(
                (EvidenceItem("observed", "kernel", "brgconv_avx512_I8", "9"),),
                findings=(
                    Finding("t", "machine", "[b]two|threads", "use one", "reported", "caution"),
                    Finding("ref", "oneDNN", "9 layers in `ref`", "update it", "observed"),
                ),
            ),
            accuracies=(
                Accuracy("top1", 0.9236, 2000, "d", tuple(0.923 + n / 9e3 for n in range(11))),
                Accuracy("top5", 0.9961, 2000, "d", tuple(0.996 + n / 5e4 for n in range(11))),
            ),
            labels=("unsteady",),
            breakdown=Breakdown(
                0.0012,
                9,
                (
                    BreakdownRow("features", "stage", 0.0009, 313_000_000),
                    BreakdownRow("[head]|x", "stage", 0.0001, 5_120),
                    BreakdownRow(OVERHEAD, "rest", 0.0002),
                    BreakdownRow(UNATTRIBUTED, "rest", 0.0),
                ),
            ),
        ),
        _record(
            cells[2],
            status="failed",
            error=Failure(
                "BuildError",
                "no kernel for [bold]'QLinear|Conv'\x1b[31m\nat 3",
                "a\nb\n\nc [/red]\nd",
            ),
        ),
        _record(cells[3], status="unsupported", error=Failure("Unsupported", "takes modules")),
        _record(cells[4], status="incomplete", latencies_s=_rounds(1e-5)),
    ]
    warning = "run.jsonl: the last line was torn and has been left out"
    return Run(header, {one.cell.id: one for one in records}, (warning,))


def _rounds(*latencies: float) -> dict[int, tuple[float, ...]]:
    return {number: (one,) * 3 for number, one in enumerate(latencies)}


def _record(cell: Cell, **fields: Any) -> Record:
    defaults: dict[str, Any] = {
        "status": "ok",
        "latencies_s": {},
        "values": {},
        "evidence": None,
        "labels": (),
        "error": None,
    }
    return Record(cell=cell, **(defaults | fields))

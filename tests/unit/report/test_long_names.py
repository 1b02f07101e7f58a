"""What commands print of long names at 80 columns: every line fits, and nothing is cut."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import msgspec
import pytest
from judged_runs import MACHINE, record, run
from rich.cells import cell_len
from rich.console import Console

from perfsuite.domain.cell import Cell
from perfsuite.domain.diagnosis import (
    SCHEMA,
    Ablation,
    DiagnosedFinding,
    Diagnosis,
    ExaminedCell,
    Layer,
    Library,
    LibraryUse,
    LibraryWorth,
    Machine,
    Numpy,
)
from perfsuite.domain.optimum import Candidate, Goal, Optimum, Tested
from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow, Roofline
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.record import Accuracy, Failure, Record
from perfsuite.domain.sensitivity import Sensitivity, Unit
from perfsuite.domain.verdict import Interval
from perfsuite.judge import judge
from perfsuite.report import print_optimum, print_run
from perfsuite.report.doctor import print_doctor
from perfsuite.report.profile.profiled_run import print_profile

WIDTH = 80
LONG = "a_models_file_with_a_long_name.py:" + "my_very_own_detector_" * 5 + "x"
LAYER = "backbone.body.stage2.0.branch1." + "a_block_that_has_a_name_of_its_own." * 4 + "conv"
WORD = "w" * 300
KEY = f"{LONG}/int8/onnxruntime/cpu/b1"
FIGURE = re.compile(r"\d[\d.,]* (?:ms|µs|MB|GB|M|%)(?=\W|$)|\d[\d.]*x \([^)]*\)")

Show = Callable[[Console], None]


def printed(show: Show, width: int) -> list[str]:
    made = io.StringIO()
    show(Console(file=made, width=width, force_terminal=True, color_system=None))
    return [line.rstrip() for line in made.getvalue().splitlines()]


def profiled(console: Console) -> None:
    operator = BreakdownRow(f"{LAYER}/{WORD}", "operator", 0.00125, 2 * 10**6, 300, 4000)
    rows = [operator]
    for depth in range(8, 0, -1):  # each module in one of a shorter name
        name = ".".join(LAYER.split(".")[:depth]) or LAYER
        rows.append(BreakdownRow(name, "module", 0.00125, 2 * 10**6, 300, 4000, (rows[-1],)))
    stage = BreakdownRow(LONG, "stage", 0.00625, 2 * 10**6, 300, 4000, (rows[-1], operator))
    rest = (BreakdownRow(OVERHEAD, "rest", 0.00275), BreakdownRow(UNATTRIBUTED, "rest", 0.0))
    call = Breakdown(0.009, 5, (stage, *rest), (f"{LAYER} ({LONG}, {WORD})",), untraced_s=0.008)
    roof = Roofline(100e9, 10e9, 2, "fp32")
    found = record(Cell(LONG, "int8", "onnxruntime"), 0.0083, 0.0084, breakdown=call, roofline=roof)
    found = msgspec.structs.replace(found, labels=(f"skipped: {WORD}",), uncounted={LAYER: 3})
    made = run(found, name=f"profile-{LONG}")
    print_profile(console, made, judge(made))


def diagnosed(console: Console) -> None:
    layers = tuple(
        Layer(f"{LAYER}.{n}", "Conv", f"brgconv:{WORD[:60]}", "oneDNN", "AVX-512 VNNI", "int8", how)
        for n, how in enumerate(("observed", "reported", "inferred"))
    )
    use = LibraryUse(KEY, "observed", "13 of 14 layers", 13, 14, ("AVX-512 VNNI",))
    worth = LibraryWorth(
        *("NumPy", "NumPy", "NumPy", "numpy-loops", "OpenBLAS", "off: NumPy's own loops", "ok"),
        whole_s=0.004,
        without_s=0.08,
        times_as_long=Interval(20.0, 19.0, 21.0),
        seen=True,
        ran_before=f"OpenBLAS 0.3.29, {WORD[:90]}",
        ran_after="its own loops",
    )
    finding = DiagnosedFinding(
        "slow", "fault", "oneDNN", (KEY,), f"{LAYER}: slow", WORD, "observed"
    )
    cell = ExaminedCell(KEY, "int8", "onnxruntime", "int8", 1, 2, "ok", layers=layers)
    failed = ExaminedCell(
        f"{KEY}8", "int8", "onnxruntime", "int8", 8, 2, "failed", f"BuildError: {LAYER}: {WORD}"
    )
    print_doctor(
        console,
        Diagnosis(
            SCHEMA,
            "0",
            "2026-01-01",
            "out",
            LONG,
            Machine(f"AuthenticAMD {WORD[:100]}", ("AVX-512", "VNNI"), 2, memory_bytes=25 * 10**9),
            Numpy(f"OpenBLAS 0.3.29, {WORD[:90]}", "reported"),
            (
                Library("oneDNN", "used", (f"3.12.0-{WORD[:50]}",), (WORD,), (use,), "AVX-512"),
                Library(WORD, "absent"),
            ),
            (cell, failed),
            (finding,),
            (f"{WORD}: a warning",),
            1,
            ablation=Ablation(problem=f"{LONG}: {WORD}", numpy=(worth,)),
        ),
    )


def compressed_alone(console: Console) -> None:
    def accuracy(value: float) -> Accuracy:
        return Accuracy("top1", value, 2000, "d", tuple(value + n / 5e4 for n in range(11)))

    def part(name: str, *times_s: float, value: float) -> Record:
        return record(
            Cell(LONG, f"int8@{name}", "openvino"), *times_s, accuracies=(accuracy(value),)
        )

    whole = record(Cell(LONG, "fp32", "openvino"), *(0.01,) * 4, accuracies=(accuracy(0.9),))
    names = [f"{LAYER}.{n}" for n in range(3)]
    parts = [
        part(names[0], 0.0079, 0.008, 0.0081, 0.008, value=0.8875),
        part(names[1], 0.0123, 0.012, 0.0121, 0.012, value=0.9),
        msgspec.structs.replace(
            record(Cell(LONG, f"int8@{names[2]}", "openvino"), status="failed"),
            error=Failure("BuildError", f"no kernel of {WORD}"),
        ),
    ]
    units = tuple(Unit(name, "int8", f"int8@{name}", (name,)) for name in names)
    recipes = tuple(
        ResolvedRecipe(one.recipe, (PassUse("int8", {"layers": [one.name]}),)) for one in units
    )
    left = {"int8": {f"{LAYER}.9": f"it is {WORD[:90]}"}}
    made = run(
        whole,
        *parts,
        name=f"sensitivity-{LONG}",
        recipes=(FP32, *recipes),
        sensitivity=Sensitivity("layer", units, left, True),
    )
    print_run(console, made, judge(made))


def searched(console: Console) -> None:
    def candidate(name: str, **fields: object) -> Candidate:
        key = f"{LONG}/{name}/openvino/cpu/b1"
        return Candidate(
            ResolvedRecipe(name), key=key, runtime="openvino", precision="fp32", **fields
        )  # type: ignore[arg-type]

    speed, loss = Interval(7.04, 6.91, 7.23), Interval(0.4, 0.2, 0.6)
    best = candidate(
        f"int8-{LAYER}",
        outcome="chosen",
        speedup=speed,
        loss_points=loss,
        size_bytes=1.52e6,
        front=True,
        test=Tested(latency_s=0.00123, speedup=speed, loss_points=loss),
    )
    lossy = candidate("prune-25", outcome="loses_too_much", speedup=speed, loss_points=loss)
    failed = candidate("int8", outcome="failed", detail=f"{LAYER}: no kernel of {WORD}")
    untried = Candidate(ResolvedRecipe(f"distill-{LAYER}"), "not_trained", why="no_time")
    print_optimum(
        console,
        Optimum(
            1,
            "0",
            "2026-01-01",
            LONG,
            Goal(speedup=12.0, max_drop_points=1.0, versus="pytorch/fp32", minutes=60.0),
            MACHINE.must_match,
            f"{LONG}/fp32/pytorch/cpu/b1",
            "top1",
            1,
            (best, lossy, failed, untried),
            best=best.key,
            spent_s=600.0,
            warnings=(f"{WORD}: a warning",),
        ),
    )


SHOWN = [profiled, diagnosed, compressed_alone, searched]


@pytest.mark.parametrize("show", SHOWN, ids=lambda one: one.__name__)
def test_every_line_fits_and_nothing_is_cut(show: Show) -> None:
    lines, wide = printed(show, WIDTH), printed(show, 2000)
    assert max(map(cell_len, lines)) <= WIDTH
    assert max(map(cell_len, wide)) > WIDTH, "the names are long"
    assert not any("…" in line for line in lines)
    text, whole = "\n".join(lines), "\n".join(wide)
    figures = set(FIGURE.findall(whole))
    assert figures
    # Sentences may be wrapped at any blank, numbers in tables may not.
    assert [one for one in figures if one not in text and one not in " ".join(text.split())] == []


@pytest.mark.parametrize("show", SHOWN, ids=lambda one: one.__name__)
def test_names_are_there_in_full(show: Show) -> None:
    text = re.sub(r"[\s│├└─]", "", "".join(printed(show, WIDTH)))
    assert WORD[:50] in text
    assert "a_block_that_has_a_name_of_its_own." * 3 in text

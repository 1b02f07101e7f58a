"""What `perfsuite doctor` found, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.domain.diagnosis import Ablation, DiagnosedFinding, Diagnosis, ExaminedCell
from perfsuite.domain.finding import Finding
from perfsuite.domain.record import Run
from perfsuite.domain.shapes import shapes_text
from perfsuite.judge.findings import Found
from perfsuite.report.tables import ablation as ablation_table
from perfsuite.report.tables import across as across_table
from perfsuite.report.tables import kernels, libraries
from perfsuite.report.tables import numpy as numpy_table
from perfsuite.report.tables.cell_rows import plain
from perfsuite.report.terminal import (
    as_text,
    print_ablation,
    print_across,
    print_findings,
    print_texts,
    print_warnings,
    widen,
)

if TYPE_CHECKING:
    from rich.console import Console

_BAD = {"failed": "✗", "unsupported": "-", "unavailable": "-", "incomplete": "?"}


def print_doctor(
    console: Console, found: Diagnosis, ablation: Run | None = None, across: Run | None = None
) -> None:
    """Print the machine, the libraries, each cell's kernels, and what is wrong.

    Without a workload the kernels are those of a net of perfsuite's own, and are only counted.
    `ablation` and `across` are the runs of what is called so in `found`.
    """
    widen(console)
    console.print(as_text(console, libraries.machine_text(found.machine), "bold"))
    if shown := libraries.lines(found):
        console.print()
        print_texts(console, libraries.columns(found), shown)
    console.print()
    for sentence in (libraries.numpy_text(found), libraries.absent(found)):
        if sentence:
            console.print(as_text(console, sentence, "dim"))
    for index, cell in enumerate(found.cells):
        if found.workload or not index:
            console.print()
        _print_cell(console, cell, whole=bool(found.workload))
    if ablation is not None:
        print_ablation(console, ablation)
    elif found.ablation is not None:
        _print_problem(console, ablation_table.TITLE, found.ablation.problem)
    if found.ablation is not None:
        _print_numpy(console, found.ablation)
    if across is not None:
        print_across(console, across)
    elif found.across is not None:
        _print_problem(console, across_table.TITLE, found.across.problem)
    print_findings(console, list(map(_found, found.findings)))
    print_warnings(console, found.warnings)
    style = {0: "green", 1: "red"}.get(found.exit_code, "yellow")
    console.print()
    console.print(as_text(console, outcome(found), style))


def outcome(found: Diagnosis) -> str:
    """Return in one line how many things are wrong, and the exit code."""
    faults = sum(one.severity == "fault" for one in found.findings)
    cautions = len(found.findings) - faults
    statuses = [one.status for one in found.cells]
    parts = [f"{statuses.count('ok')} of {len(statuses)} cells looked at"]
    bad = [one for one in dict.fromkeys(statuses) if one != "ok"]
    parts += [f"{statuses.count(one)} {one}" for one in bad]
    parts += [_counted(faults, "fault"), _counted(cautions, "caution")]
    return f"{', '.join(parts)}; exit code {found.exit_code}"


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'s' * (count != 1)}"


def _print_cell(console: Console, cell: ExaminedCell, *, whole: bool) -> None:
    """Print a cell's layers, or why there are none."""
    if cell.problem or cell.status != "ok":
        said = plain(cell.problem) or cell.status
        style = "red" if cell.status == "failed" else "yellow"
        text = f"{_BAD.get(cell.status, '✗')} {plain(cell.key)}: {cell.status}: {said}"
        console.print(as_text(console, text, style))
        return
    count = len(cell.layers)
    threads = f"{cell.threads} thread{'s' * (cell.threads != 1)}"
    told = f"{count} layer{'s' * (count != 1)}" if count else "the engine tells of no layers"
    heading = [cell.key, threads, shapes_text(cell.input_shapes), told, *cell.labels]
    text = f"✓ {', '.join(plain(one) for one in heading if one)}"
    if not whole or not count:
        console.print(as_text(console, text))
        return
    console.print(as_text(console, text, "bold"))
    print_texts(console, kernels.COLUMNS, kernels.lines(cell.layers))
    if count > kernels.WHOLE:
        console.print(as_text(console, "each layer: in doctor.json", "dim"))


def _print_problem(console: Console, title: str, problem: str) -> None:
    console.print()
    console.print(as_text(console, f"{title}: {plain(problem)}", "yellow"))


def _print_numpy(console: Console, ablation: Ablation) -> None:
    if shown := numpy_table.lines(ablation):
        console.print()
        print_texts(console, numpy_table.COLUMNS, shown)
    for sentence in numpy_table.sentences(ablation):
        console.print()
        console.print(as_text(console, sentence))


def _found(one: DiagnosedFinding) -> Found:
    finding = Finding(one.name, one.about, one.message, one.fix, one.how, one.severity)
    return Found(finding, one.cells)

"""The command that makes each cell again."""

from __future__ import annotations

import glob
import shlex

from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Header
from perfsuite.report.html.blocks import Section, Table
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import cell_place
from perfsuite.report.html.values import said
from perfsuite.report.tables.cell_rows import CellRow

_OF_A_FILE = (
    "Typed where the run was made. A cell is measured together with the one that it is compared "
    "with, so that a command names both."
)
_OF_A_PROGRAM = (
    "This suite is in no file: these commands profile the same cells, one by one, and time them."
)
_NO_COMMAND = "none: its recipe has fields of its own"


def reproduce(page: Page) -> Section | None:
    """Return a table of commands; None for a run without cells."""
    if not page.rows:
        return None
    header = page.run.header
    lines = [
        (said(row.key, link=cell_place(row.cell)), said(command(row, header))) for row in page.rows
    ]
    table = Table("The command for each cell", ("cell", "command"), lines)
    intro = _OF_A_FILE if header.source else _OF_A_PROGRAM
    return Section("reproduce", "Make it again", (table,), intro)


def command(row: CellRow, header: Header) -> str:
    """Return what to type to make a cell again."""
    if not header.source:
        return _profiling(row, header)
    parent = row.gain.parent if row.gain else ""
    keys = dict.fromkeys(one for one in (row.key, row.reference, parent) if one)
    wanted = [part for one in keys for part in ("--only", glob.escape(one))]
    quick = ["--quick"] if header.quick else []
    return shlex.join(["perfsuite", "run", header.source, *wanted, *quick])


def _profiling(row: CellRow, header: Header) -> str:
    cell, suite = row.cell, header.suite
    reference = suite.workloads.get(cell.workload, cell.workload)
    words = ["perfsuite", "profile", reference, "--runtime", suite.runtime(cell.runtime)]
    if cell.recipe != FP32.name:
        passes = next((one.passes for one in suite.recipes if one.name == cell.recipe), ())
        if len(passes) != 1 or passes[0].fields or cell.switch:
            return _NO_COMMAND
        words += ["--recipe", passes[0].use]
    if cell.switch:
        return _NO_COMMAND
    options = (
        ("--device", cell.device, "cpu"),
        ("--precision", cell.precision, "fp32"),
        ("--batch", str(cell.batch), "1"),
        ("--threads", str(cell.threads), ""),
    )
    words += [part for name, value, usual in options if value != usual for part in (name, value)]
    return shlex.join(words)

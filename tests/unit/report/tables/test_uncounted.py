"""Where MACs are shown that are only a part, it is said that they are."""

from __future__ import annotations

import csv
import io
import json

import msgspec
from judged_runs import record, run
from rich.console import Console

from perfsuite.domain.cell import Cell
from perfsuite.domain.profile import OVERHEAD, Breakdown, BreakdownRow
from perfsuite.domain.record import Run
from perfsuite.judge import judge
from perfsuite.report import print_run, profile_document, render
from perfsuite.report.profile.tree import render as render_breakdown

WHOLE, HALF = Cell("vgg", "fp32", "openvino"), Cell("vgg", "half", "openvino")
SENTENCE = (
    "MACs are only a part, as there is no formula for 3 GridSample: "
    "fp32/openvino/cpu/b1 (at least 2 G), half/openvino/cpu/b1 (at least 1 G)"
)


def partial() -> Run:
    records = (
        msgspec.structs.replace(
            record(cell, *[latency_s] * 3, values={"macs": (macs,)}), uncounted={"GridSample": 3}
        )
        for cell, latency_s, macs in ((WHOLE, 0.2, 2e9), (HALF, 0.1, 1e9))
    )
    return run(*records)


def test_terminal_and_markdown_name_the_operators_once() -> None:
    found = partial()
    stream = io.StringIO()
    print_run(Console(file=stream, width=200), found, judge(found))
    markdown = render(found, judge(found), "md")
    for text in (stream.getvalue(), markdown):
        assert text.replace("\\", "").count(SENTENCE) == 1
        assert text.count("GridSample") == 1
    (line,) = (one for one in markdown.splitlines() if one.startswith("| half/") and "fp32" in one)
    assert line.split(" | ")[2] == "not counted"  # of theory


def test_files_have_a_field_of_it() -> None:
    found = partial()
    rows = list(csv.DictReader(io.StringIO(render(found, judge(found), "csv"))))
    assert [(one["macs"], one["macs_uncounted"]) for one in rows] == [
        ("2000000000.0", "3 GridSample"),
        ("1000000000.0", "3 GridSample"),
    ]
    document = json.loads(render(found, judge(found), "json"))
    assert [one["uncounted"] for one in document["rows"]] == [{"GridSample": 3}] * 2


def test_a_profile_shows_what_was_counted_as_the_least() -> None:
    known = BreakdownRow("conv", "operator", 0.004, 2 * 10**6, 300, 4000)
    unknown = BreakdownRow("grid", "operator", 0.002, None, 0, 4000)
    stage = BreakdownRow("net", "stage", 0.006, None, 300, 8000, (known, unknown))
    call = Breakdown(0.01, 5, (stage, BreakdownRow(OVERHEAD, "rest", 0.004)))
    lines = render_breakdown(call, uncounted={"GridSample": 1}).replace("&nbsp;", "").splitlines()
    macs = {one.split(" | ")[0].strip("|├└─ "): one.split(" | ")[3] for one in lines if "|" in one}
    assert macs["net"] == "≥ 2 M"
    assert macs["total"] == "≥ 2 M"
    assert macs["conv"] == "2 M"
    assert macs["grid"] == "?"
    assert lines[-1] == "- MACs are only a part: there is no formula for 1 GridSample."


def test_a_profile_for_programs_has_it_too(tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = partial()
    document = profile_document(tmp_path, found, judge(found))
    assert [cell.uncounted for cell in document.cells] == [{"GridSample": 3}] * 2

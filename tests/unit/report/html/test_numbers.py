"""Every number on the page is one of `show --json`, or follows from the run's journal by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import pytest
from page_reading import Element, figures, lazy_lines, numbers, read_page, section
from reported_run import run as reported
from taken_in_turns import taken_in_turns

from perfsuite import api
from perfsuite.domain.profile import BreakdownRow
from perfsuite.domain.record import Record, Run
from perfsuite.judge import judge
from perfsuite.report import render

JOURNALS = Path(__file__).parents[3] / "golden" / "journals"
# What these sections show is in the document; other sections show the journal in more detail.
OF_THE_DOCUMENT = ("answer", "pareto", "cells", "theory", "layers")


def stored(name: str) -> tuple[Run, str, str]:
    shown = api.show(JOURNALS / name)
    return shown.run, shown.report("html"), shown.report("json")


def made(run: Run) -> tuple[Run, str, str]:
    judgement = judge(run)
    return run, render(run, judgement, "html"), render(run, judgement, "json")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(lambda: stored("run-0.1.0"), id="run"),
        pytest.param(lambda: stored("profile-0.1.0"), id="profile"),
        pytest.param(lambda: made(reported()), id="reported"),
        pytest.param(lambda: made(taken_in_turns()), id="turns"),
    ],
)
def told(request: pytest.FixtureRequest) -> tuple[Run, Element, Any]:
    run, page, document = request.param()
    return run, read_page(page), json.loads(document)


Told = tuple[Run, Element, Any]


def test_tables_show_the_numbers_of_the_document(told: Told) -> None:
    _, page, document = told
    known = set(_numbers(document))
    for name in OF_THE_DOCUMENT:
        for found in page.all("section", id=name):
            assert set(numbers(found)) <= known, name


def test_all_figures_of_cells_are_shown(told: Told) -> None:
    _, page, document = told
    shown = set(numbers(section(page, "cells")))
    for row in document["rows"]:
        figures_of_row = [row["latency_s"], row["accuracy"], row["macs"], row["artifact_bytes"]]
        figures_of_row += [
            row["run_peak_bytes"],
            *_ends(row["speedup"]),
            *_ends(row["loss_points"]),
        ]
        assert {one for one in figures_of_row if one is not None} <= shown


def test_whatever_else_is_shown_follows_from_the_journal(told: Told) -> None:
    run, page, document = told
    known = {*_numbers(document), *_numbers(json.loads(msgspec.json.encode(run)))}
    known |= {one for record in run.records.values() for one in _derived(record)}
    shown = set(numbers(page)) | set(_lazy(page))
    assert shown - known <= set(_shares(run)) | set(map(float, range(5000)))


def test_plots_show_the_same_numbers(told: Told) -> None:
    run, page, document = told
    known = {*_numbers(document), *_numbers(json.loads(msgspec.json.encode(run)))}
    known |= {one for record in run.records.values() for one in _derived(record)}
    known |= {0.0, 1.0}  # where the reference lies
    for figure in figures(page):
        for trace in figure["data"]:
            if trace.get("hoverinfo") == "skip" or trace["type"] == "icicle":
                continue  # a line or an area to hold points against
            points = [one for axis in "xy" for one in trace.get(axis, ()) if one is not None]
            assert {one for one in points if one != int(one)} <= known | set(_placed(run))


def _ends(interval: Any) -> list[float]:
    return [interval["value"], interval["low"], interval["high"]] if interval else []


def _lazy(page: Element) -> Iterator[float]:
    for table in lazy_lines(page):
        for value in (value for line in table for value in line if isinstance(value, list)):
            yield from (float(one) for one in value[1:4] if one is not None)


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def _derived(record: Record) -> Iterator[float]:
    """Yield the median, the ends and the slices of each process."""
    for number, samples in record.latencies_s.items():
        yield from (median(samples), min(samples), max(samples), float(len(samples)))
        slices = record.slices.get(number)
        begin = 0
        for count in slices.counts if slices else ():
            yield median(samples[begin : begin + count])
            begin += count


def _rows(run: Run) -> Iterator[tuple[BreakdownRow, Record]]:
    for record in run.records.values():
        waiting = list(record.breakdown.rows) if record.breakdown else []
        while waiting:
            row = waiting.pop()
            yield row, record
            waiting += row.children


def _shares(run: Run) -> Iterator[float]:
    """Yield what tables of breakdowns tell beside times: shares, and how fast it is computed."""
    for row, record in _rows(run):
        assert record.breakdown is not None
        total_s = record.breakdown.total_s
        small = [
            one for one in row.children if one.level == "operator" and one.time_s < 0.005 * total_s
        ]
        together_s = sum(one.time_s for one in small)
        yield from (together_s, *(_total(small, field) for field in ("macs", "bytes")))
        for time_s, macs in (
            (row.time_s, row.macs),
            (together_s, sum(one.macs or 0 for one in small)),
        ):
            found = [time_s / total_s, *([2 * macs / time_s] if macs and time_s else [])]
            yield from (one for value in found for one in (value, float(f"{value:.6g}")))
    yield from _placed(run)


def _total(rows: list[BreakdownRow], field: str) -> float:
    return float(sum(getattr(row, field) or 0 for row in rows))


def _placed(run: Run) -> Iterator[float]:
    """Yield where stages lie under the roofline."""
    for row, record in _rows(run):
        if row.macs and row.bytes and row.time_s and record.roofline:
            roof = record.roofline
            intensity, rate = 2 * row.macs / row.bytes, 2 * row.macs / row.time_s
            above = min(roof.flops_per_s, intensity * roof.bytes_per_s)
            yield from (intensity, rate, rate / above)

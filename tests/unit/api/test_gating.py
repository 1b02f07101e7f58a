"""A run that was measured beside its baseline, gated, compared and reported from journals alone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from judged_runs import INT8, budget, run

from perfsuite import api
from perfsuite.domain.record import Line, Measurement
from perfsuite.report import print_comparison
from perfsuite.report.terminal import print_run
from perfsuite.store.journal import Journal

PROCESSES = 3


def lines(artifact: str, factor: float, rounds: range, *, baseline: bool = False) -> Iterator[Line]:
    """A cell's lines, or its baseline's: slices of 1, 2 and 3 ms, times the factor."""
    common = {"cell": INT8.id, "key": INT8.key, "status": "ok", "baseline": baseline}
    if rounds.start == 0:
        yield Line(job="prepare", artifact=artifact, **common)
        if not baseline:
            yield Line(job="inspect", **common)
    for number in rounds:
        samples = tuple(factor * one for one in (0.001, 0.002, 0.003))
        found = Measurement("latency_s", "s", samples, slices=(1, 1, 1))
        yield Line(job="measure", round=number, together="t", measurements=(found,), **common)


def stored(folder: Path, *found: Line, baseline: Path | None = None, **suite: Any) -> Path:
    header = run(cells=(INT8,), processes=PROCESSES, **suite).header
    header = msgspec.structs.replace(header, baseline=str(baseline or ""))
    with Journal.create(folder, header) as journal:
        for line in found:
            journal.append(line)
    return folder


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The machine was three times as fast then."""
    return stored(tmp_path / "before", *lines("old", 1 / 3, range(PROCESSES)))


def beside(folder: Path, first: float, again: float | None = None) -> Path:
    found = [
        *lines("new", first, range(PROCESSES)),
        *lines("old", 1.0, range(PROCESSES), baseline=True),
    ]
    if again is not None:
        later = range(PROCESSES, 2 * PROCESSES)
        found += lines("new", again, later)
        found += lines("old", 1.0, later, baseline=True)
    return stored(folder, *found)


def test_a_gate_uses_what_was_measured_beside(tmp_path: Path, before: Path) -> None:
    same = beside(tmp_path / "same", 1.001)
    assert api.gate(same, before).exit_code == 0
    (change,) = api.compare(before, same).changes
    assert change.beside and change.latency_ratio is not None
    assert change.latency_ratio.value == pytest.approx(1.001)
    slower = beside(tmp_path / "slower", 1.05, 1.06)
    judged = api.gate(slower, before)
    assert judged.exit_code == 1
    text = "measured a second time: 6 % slower than in the baseline; beside"
    assert text in judged.report("md")
    document = json.loads(judged.report("json"))
    (verdict,) = document["judgement"]["verdicts"]
    assert (verdict["beside"], verdict["again"], verdict["noise"]) == (True, True, "")
    assert verdict["words"] == text
    (row,) = csv.DictReader(io.StringIO(api.report(slower, "csv", before)))
    assert row["change_measured"] == "beside, twice"
    assert float(row["change"]) == pytest.approx(0.06)
    (row,) = csv.DictReader(io.StringIO(api.report(slower, "csv")))
    assert (row["change"], row["change_measured"]) == ("", "")


def test_a_false_alarm_is_told_and_passes(tmp_path: Path, before: Path) -> None:
    from rich.console import Console

    judged = api.gate(beside(tmp_path / "now", 1.05, 1.0), before)
    assert judged.exit_code == 0
    console = Console(file=io.StringIO(), width=200)
    print_run(console, judged.run, judged.judgement)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    text = (
        "measured a second time: as fast as in the baseline; beside; the first time it looked worse"
    )
    assert text in printed
    console = Console(file=io.StringIO(), width=200)
    print_comparison(console, api.compare(before, tmp_path / "now"))
    assert "beside, twice" in console.file.getvalue()  # type: ignore[attr-defined]


def test_without_its_artifact_the_stored_runs_are_compared(tmp_path: Path, before: Path) -> None:
    judged = api.gate(stored(tmp_path / "now", *lines("new", 1.0, range(PROCESSES))), before)
    (verdict,) = judged.judgement.verdicts
    assert (verdict.status, verdict.beside, verdict.noise) == ("regressed", False, "unknown")


def test_a_run_is_shown_as_it_was_judged_when_it_was_made(tmp_path: Path, before: Path) -> None:
    kept = budget(name="kept", against=None, baseline=True, max_increase=0.05)
    found = [
        *lines("new", 1.01, range(PROCESSES)),
        *lines("old", 1.0, range(PROCESSES), baseline=True),
    ]
    now = stored(tmp_path / "now", *found, baseline=before, budgets=(kept,))
    shown = api.show(now)
    assert [one.budget for one in shown.judgement.verdicts] == ["kept", "regression"]
    assert shown.judgement == api.gate(now, before).judgement
    assert shown.exit_code == 0
    assert "; beside" in api.report(now, "md")
    before.rename(tmp_path / "moved")
    alone = api.show(now)
    assert [one.status for one in alone.judgement.verdicts] == ["missing"]
    (told,) = alone.judgement.warnings
    assert isinstance(told, str)
    assert told.startswith("the baseline that this run was measured beside cannot be read: ")
    assert str(before) in told

"""The gates of the benchmark: who is slowed down, what is counted, what is not run twice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import gates
from perfsuite import api
from perfsuite.config.loading import load_suite
from perfsuite.domain.verdict import Verdict
from perfsuite.runner import schedule

BASELINE = Path("baseline")
TARGET, OTHER = gates.TARGETS
BY_5 = {TARGET: 0.05}


def verdict(status: Any, cell: str = gates.TARGETS[0]) -> Verdict:
    return Verdict(status, "regression", cell, "latency_s", "regression")


def test_six_cells_of_which_two_are_targets() -> None:
    suite, cells, _ = load_suite(gates.SUITE)
    assert len(cells) == 6
    assert {TARGET, OTHER} <= {cell.key for cell in cells}
    with gates.slowed({TARGET: 0.05, OTHER: 0.03}):
        slowdowns = {cell.key: schedule.first_job(suite, cell).recipe.slowdown for cell in cells}
    assert (slowdowns.pop(TARGET), slowdowns.pop(OTHER)) == (0.05, 0.03)
    assert set(slowdowns.values()) == {0.0}
    assert all(schedule.first_job(suite, cell).recipe.slowdown == 0.0 for cell in cells)


def test_what_is_slowed_down_tells_nothing_of_the_noise_between_runs() -> None:
    before = api.add_levels
    with gates.slowed({TARGET: 0.0}):
        assert api.add_levels is before
    with gates.slowed(BY_5):
        assert api.add_levels is not before
    assert api.add_levels is before


def test_red_and_open_cells_are_told_apart() -> None:
    elsewhere = gates.gated(BY_5, 1, [verdict("pass"), verdict("regressed", "a/b/c")], 4, 9.0)
    assert (elsewhere.red, elsewhere.open) == (("a/b/c",), ())
    found = gates.gated(BY_5, 1, [verdict("regressed"), verdict("inconclusive", "d")], 4, 9.0)
    assert (found.red, found.open) == ((TARGET,), ("d",))


def test_a_row_counts_gates() -> None:
    both = {TARGET: 0.05, OTHER: 0.03}
    done = [
        gates.Gate(both, 1, 4, 50.0, (TARGET, OTHER), ()),
        gates.Gate(both, 0, 6, 70.0, (), ()),
        gates.Gate(both, 1, 5, 60.0, (TARGET, "a/b/c"), ()),
    ]
    # 1 and 2 of 3 by Clopper and Pearson: 0.8 % to 90.6 %, and 9.4 % to 99.2 %.
    assert gates.row(both, done) == (
        "| +5%, +3% | 3 | 0: 1, 1: 2 | 1 of 3 (1% to 91%) "
        "| +5%: 2 of 3 (9% to 99%), +3%: 1 of 3 (1% to 91%) | 1 | 5 | 60 | 70 |"
    )
    assert gates.row({TARGET: 0.0}, done).startswith("| none | 3 |")


def test_a_gate_is_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []

    def run(suite: Any, folder: Path, **given: Any) -> Any:
        folder.mkdir()
        runs.append((folder, given))
        record = SimpleNamespace(latencies_s={0: (1.0,), 1: (1.0,)})
        judgement = SimpleNamespace(verdicts=(verdict("pass"),))
        judged = SimpleNamespace(records={"a": record})
        return SimpleNamespace(run=judged, judgement=judgement, exit_code=0)

    monkeypatch.setattr(gates.perfsuite, "run", run)
    first = gates.gate(tmp_path / "0-00", BASELINE, {TARGET: 0.0})
    assert (first.exit_code, first.red, first.rounds) == (0, (), 2)
    assert gates.gate(tmp_path / "0-00", BASELINE, {TARGET: 0.0}) == first
    assert runs == [(tmp_path / "0-00", {"baseline": BASELINE, "resume": False})]

"""What runs of the same artifact differ by, learned from levels: numbers by hand."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from judged_runs import EAGER, INT8, record, run

from perfsuite.domain.record import BetweenRuns
from perfsuite.judge.levels import between_runs, learned, levels_of
from perfsuite.store.levels import Level


def levels(*values: float, error: float = 0.0) -> tuple[Level, ...]:
    return tuple(Level(str(number), value, error) for number, value in enumerate(values))


def test_the_level_of_a_run_is_its_log_mean_with_its_error() -> None:
    made = run(
        record(EAGER, math.exp(-4.0), math.exp(-2.0), artifact="e"),
        record(INT8, 0.01, artifact="i"),  # one process
    )
    assert levels_of(made) == {EAGER.id: {"e": Level("2026-01-01", pytest.approx(-3.0), 1.0)}}
    quick = msgspec.structs.replace(made.header, quick=True)
    assert levels_of(msgspec.structs.replace(made, header=quick)) == {}
    failed = record(EAGER, 0.1, 0.1, artifact="e", status="failed")
    assert levels_of(run(failed, record(INT8, 0.1, 0.1))) == {}  # and one without an artifact


def test_three_runs_by_hand() -> None:
    # Squares 2 * 0.02 ** 2 about the mean; the tenth of chi-squared with 2 degrees is 0.1967 here.
    found = between_runs([levels(1.0, 1.02, 0.98)])
    assert found is not None
    assert found.deviation == pytest.approx(math.sqrt(0.0008 / 0.1967), rel=1e-3)
    assert found.runs == 3
    explained = between_runs([levels(1.0, 1.02, 0.98, error=0.01)])
    assert explained is not None
    assert explained.deviation == pytest.approx(math.sqrt(0.0008 / 0.1967 - 0.0001), rel=1e-3)
    assert between_runs([levels(1.0, 1.02, 0.98, error=0.5)]) == BetweenRuns(0.0, 3)


def test_runs_of_two_artifacts_differ_about_means_of_their_own() -> None:
    found = between_runs([levels(1.0, 1.02), levels(7.0, 7.02), levels(3.0)])
    assert found is not None
    assert found.deviation == pytest.approx(math.sqrt(0.0004 / 0.1967), rel=1e-3)
    assert found.runs == 4


def test_fewer_runs_tell_nothing() -> None:
    assert between_runs([]) is None
    assert between_runs([levels(1.0, 2.0)]) is None
    assert between_runs([levels(1.0), levels(2.0), levels(3.0)]) is None


@pytest.mark.parametrize("runs", [3, 6, 20])
def test_it_is_found_too_small_in_one_of_ten_cases(runs: int) -> None:
    rng = np.random.default_rng(runs)
    found = [between_runs([levels(*rng.normal(0.0, 0.02, runs))]) for _ in range(2000)]
    too_small = np.mean([one is not None and one.deviation < 0.02 for one in found])
    assert too_small == pytest.approx(0.1, abs=0.02)


def test_only_what_is_known_of_a_cell_is_told() -> None:
    known = {INT8.id: {"k": levels(1.0, 1.0, 1.0)}, EAGER.id: {"k": levels(1.0)}, "gone": {}}
    assert learned((EAGER, INT8), known) == {INT8.id: BetweenRuns(0.0, 3)}

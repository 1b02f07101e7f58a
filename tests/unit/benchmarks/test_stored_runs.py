"""The simulation of stored runs: its rules are those by which perfsuite judges them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from judged_runs import INT8, known_noise, only, record, run

from benchmarks import stored_runs
from perfsuite.domain.looks import Looks
from perfsuite.judge import judge
from perfsuite.judge.levels import between_runs
from perfsuite.store.levels import Level


@pytest.mark.parametrize(("source", "between"), [("known", 0.01), ("not known", 0.005)])
def test_its_outcomes_are_perfsuites(source: str, between: float) -> None:
    found = stored_runs.suites(between, source, np.random.default_rng(3), 1)
    statuses = set()
    for effect in (0.0, 0.05, 0.2):
        outcome = stored_runs.judged(found.old, found.new, found.between, effect)
        for cell in range(stored_runs.CELLS):
            old = run(record(INT8, *np.exp(found.old[0, cell])), looks=Looks(), processes=24)
            new = (np.exp(found.new[0, cell]) * (1.0 + effect)).tolist()
            now = run(record(INT8, *new), looks=Looks(), processes=24)
            now = known_noise(now, between) if source == "known" else now
            verdict = only(judge(now, old).verdicts)
            assert (verdict.status == "regressed") == outcome.red[0, cell]
            assert (verdict.status == "pass") == outcome.green[0, cell]
            assert verdict.estimate is not None
            covered = verdict.estimate.low <= effect <= verdict.estimate.high
            assert covered == outcome.covered[0, cell]
            statuses.add(verdict.status)
    assert statuses == {"pass", "inconclusive", "regressed"}


def test_what_it_learns_is_what_perfsuite_does() -> None:
    runs = np.random.default_rng(4).normal(0.1, 0.05, (2, 5, 8))
    for one, found in zip(runs, stored_runs.learned(runs), strict=True):
        errors = one.std(-1, ddof=1) / math.sqrt(8)
        levels = [
            Level(str(n), *map(float, pair))
            for n, pair in enumerate(zip(one.mean(-1), errors, strict=True))
        ]
        known = between_runs([levels])
        assert known is not None
        assert known.deviation == pytest.approx(found)


def test_a_small_simulation_cries_wolf_seldom_and_finds_what_is_large() -> None:
    found = stored_runs.simulated(0.01, "known", 100)
    assert found["suites", 0.0] <= 0.03
    assert found["red", 0.2] > 0.99
    assert found["green", 0.0] > 0.5
    assert found["covered", 0.0] > 0.95

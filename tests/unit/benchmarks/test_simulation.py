"""The simulation of suites: its rules are perfsuite's own, and those of the tools that it names."""

from __future__ import annotations

import numpy as np
import pytest
from sequential_intervals import sequential_interval

from benchmarks import simulation
from perfsuite.domain.verdict import Interval
from perfsuite.judge.decisions import change_decided, change_verdict

LOOKS, FLOOR = simulation.LOOKS, simulation.FLOOR


@pytest.mark.parametrize("effect", [0.0, 0.03])
def test_its_outcomes_are_perfsuites(effect: float) -> None:
    rng = np.random.default_rng(5)
    first, _ = simulation.measurements(simulation.Scenario(), rng, 1)
    found = simulation.measured(first, effect)
    for cell in range(simulation.CELLS):
        ratios = (first.new - first.old)[0, cell] + np.log1p(effect)
        for rounds in range(LOOKS.first, LOOKS.most + 1):
            one = sequential_interval(list(ratios[:rounds]), LOOKS)
            assert one is not None
            estimate = Interval(one.value - 1.0, one.low - 1.0, one.high - 1.0)
            decided = change_decided(estimate, FLOOR)
            if decided is not None:
                break
        assert found.rounds[0, cell] == rounds
        assert found.undecided[0, cell] == (decided is None)
        assert found.red[0, cell] == (decided == "regressed")
        assert found.green[0, cell] == (change_verdict(estimate, FLOOR) == "pass")
        assert found.covered[0, cell] == (one.low <= 1.0 + effect <= one.high)


def test_a_small_simulation_errs_as_seldom_as_it_says() -> None:
    tally = simulation.simulated("normal", simulation.SCENARIOS["normal"], 100)
    # 2,000 cells. By hand: a false alarm in at most 1 % of suites, so in at most 1 of 100, mostly.
    assert tally.mean("suites red", 0.0) <= 0.03
    assert tally.mean("red", 0.05) > 0.95
    assert tally.mean("always", 0.0) == pytest.approx(0.956, abs=0.02)
    assert tally.mean("green", 0.0) > 0.99


def test_a_stored_baseline_is_the_same_in_both_measurements() -> None:
    rng = np.random.default_rng(6)
    first, again = simulation.measurements(simulation.Scenario(stored=True), rng, 2)
    assert (first.old == again.old).all()
    assert (first.new != again.new).all()
    first, again = simulation.measurements(simulation.Scenario(), rng, 2)
    assert (first.old != again.old).all()


def test_thresholds_by_hand() -> None:
    old = np.array([[[1.0, 2.0, 3.0]]])
    assert simulation.minimum(old, np.array([[[1.06, 1.0 + 1.0, 3.0]]])).item()
    assert not simulation.minimum(old, np.array([[[1.05, 9.0, 9.0]]])).item()
    assert simulation.mean(old, old + 0.21).item()
    assert not simulation.mean(old, old + 0.19).item()


def test_the_other_tests_are_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(7)
    old = rng.normal(1.0, 0.3, (5, 20, 72))
    new = rng.normal(1.0, 0.3, (5, 20, 72)) * 1.12
    test = stats.ttest_ind(new, old, axis=-1)
    # pyperf's table says 1.984 for the 142 degrees of freedom here.
    assert (simulation.students(old, new) == (test.statistic >= 1.984)).all()
    assert 0.2 < simulation.students(old, new).mean() < 0.9
    p = stats.mannwhitneyu(
        old, new, axis=-1, method="asymptotic", use_continuity=False, alternative="two-sided"
    ).pvalue
    expected = (p < 0.002) & (np.median(new, -1) > 1.1 * np.median(old, -1))
    assert (simulation.mann_whitney(old, new) == expected).all()
    assert 0.1 < expected.mean() < 0.9


def test_a_table_is_markdown() -> None:
    assert simulation.table(iter([["a", "b"], ["1", "2"]])) == "| a | b |\n| --- | --- |\n| 1 | 2 |"

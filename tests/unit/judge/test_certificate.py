"""What a machine can see, from rounds whose noise is known."""

import math

import numpy as np
import pytest
from judged_runs import record, run
from sequential_intervals import sequential_interval

from perfsuite.domain.cell import Cell
from perfsuite.domain.looks import Looks
from perfsuite.domain.recipe import FP32, ResolvedRecipe
from perfsuite.domain.record import Failure, Line
from perfsuite.errors import PerfsuiteError
from perfsuite.judge.certificate import between_runs, certify, visible
from perfsuite.judge.decisions import believed, change_decided, change_verdict
from perfsuite.judge.replay import Replay, noise_about_known

EFFECTS = {"same": 0.0, "slower-3": 0.03, "slower-5": 0.05, "slower-10": 0.1}
RECIPES = (FP32, *(ResolvedRecipe(name, slowdown=one) for name, one in EFFECTS.items()))
PLAIN = Cell("vgg", "fp32", "pytorch")


def slowed(rounds=12, spread=0.02, cell=PLAIN, skew=0.0, seed=0, **reference):
    """Records of a cell and its variants, whose log ratios spread as told about the known ratio."""
    rng = np.random.default_rng(seed)
    records = [record(cell, *([0.01] * rounds), **reference)]
    for name, effect in EFFECTS.items():
        noise = rng.normal(size=rounds)
        noise = spread * (noise - noise.mean()) / noise.std(ddof=1)
        times = 0.01 * (1.0 + effect) * np.exp(noise + skew)
        records.append(record(Cell("vgg", name, cell.runtime), *times.tolist()))
    return records


def certified(*records, **fields):
    lines = [Line(PLAIN.id, PLAIN.key, "prepare", "ok", duration_s=90.0)]
    lines += [
        Line(PLAIN.id, PLAIN.key, "measure", "ok", round=number, duration_s=taken)
        for number, taken in enumerate((1.0, 2.0))
    ]
    return certify(run(*records, recipes=RECIPES, **fields), lines, "mine")


def test_a_quiet_machine_finds_all_and_cries_never():
    found = certified(*slowed(spread=0.004))
    assert (found.false_alarms.value, found.false_alarms.high) == (0.0, 0.0)
    assert [one.effect for one in found.power] == [0.03, 0.05, 0.1]
    assert found.power[0].found.low > 0.9  # it is the floor: 4 rounds may be surely within it
    assert [one.found.low for one in found.power[1:]] == [1.0, 1.0]
    assert (found.suite, found.rounds, found.round_s, found.quick) == ("mine", 12, 3.0, False)
    assert found.machine == run().header.environment.must_match


def test_spreads_and_estimates_are_those_of_the_rounds():
    found = certified(*slowed(spread=0.02))
    assert found.spread == pytest.approx(0.02)
    (cell,) = found.cells
    assert (cell.cell, cell.spread) == (PLAIN.key, pytest.approx(0.02))
    assert [one.effect for one in cell.changes] == [0.0, 0.03, 0.05, 0.1]
    assert [one.found.value for one in cell.changes] == pytest.approx([0.0, 0.03, 0.05, 0.1])
    # 2.201 is t of 11 degrees of freedom.
    half = 2.201 * 0.02 / math.sqrt(12)
    assert cell.changes[0].found.high == pytest.approx(math.expm1(half), rel=1e-3)


def test_a_noisy_machine_misses_small_changes_and_says_how_sure_that_is():
    found = certified(*slowed(spread=0.2))
    small, _, large = found.power
    assert small.found.value < 0.3 < 0.5
    assert small.found.low <= small.found.value <= small.found.high
    assert small.found.value <= large.found.value
    assert found.false_alarms.value < 0.05


def test_spread_is_pooled_over_cells():
    other = Cell("vgg", "fp32", "openvino")
    found = certified(*slowed(spread=0.03), *slowed(spread=0.04, cell=other, seed=1))
    assert [one.spread for one in found.cells] == pytest.approx([0.03, 0.04])
    assert found.spread == pytest.approx(math.sqrt((0.03**2 + 0.04**2) / 2))


def test_coverage_counts_blocks_of_real_rounds():
    held = certified(*slowed(spread=0.01)).coverage
    assert held.value > 0.8 and held.high == 1.0
    # All ratios are off by 20 %: no block of 4 rounds holds the known one. 3 blocks: 0 of 3.
    missed = certified(*slowed(spread=0.001, skew=math.log(1.2))).coverage
    assert (missed.value, missed.low) == (0.0, 0.0)
    assert missed.high == pytest.approx(1.0 - 0.025 ** (1 / 3))


def test_cells_that_failed_are_left_out():
    other = Cell("vgg", "fp32", "openvino")
    broken = slowed(cell=other, status="failed", error=Failure("Crash", "it died"))
    assert [one.cell for one in certified(*slowed(), *broken).cells] == [PLAIN.key]
    with pytest.raises(PerfsuiteError, match=r"nothing to certify.*vgg/fp32/openvino.*it died"):
        certified(*broken)


def test_too_few_rounds_are_told():
    with pytest.raises(PerfsuiteError, match="a cell needs 4 rounds"):
        certified(*slowed(rounds=3))


def test_runs_differ_by_what_their_processes_do_not_show():
    # Blocks of 4 rounds with means -0.1, 0, 0.1; within each the variance is 4 * 0.01^2 / 3.
    block = np.array([0.01, -0.01, 0.01, -0.01])
    level = np.concatenate([block - 0.1, block, block + 0.1]).tolist()
    within = 4 * 0.01**2 / 3
    assert between_runs([level]) == pytest.approx(math.sqrt((4 * 0.01 - within) / 4))


def test_what_differs_between_runs_is_no_less_than_can_be_told():
    level = [0.01, -0.01, 0.01, -0.01] * 3
    assert between_runs([level]) == pytest.approx(math.sqrt(0.01**2 / 3))
    assert between_runs([level[:11]]) is None


def test_what_is_visible_grows_with_the_rounds():
    noise = noise_about_known([np.random.default_rng(2).normal(scale=0.03, size=20)])
    found = visible([noise])
    assert [one.rounds for one in found] == [4, 6, 8, 12, 16, 24]
    smallest = [one.in_80 for one in found]
    assert smallest == sorted(smallest, reverse=True) and smallest[-1] < smallest[0]
    assert all(one.in_80 <= one.in_95 for one in found)
    loud = noise_about_known([np.random.default_rng(2).normal(scale=2.0, size=20)])
    assert visible([loud])[0].in_80 is None


def test_visible_in_is_that_of_the_most_rounds_within():
    found = certified(*slowed())
    assert found.visible_in(3) is None
    assert found.visible_in(10) == found.visible[2]
    assert found.visible_in(100) == found.visible[-1]


def test_noise_is_about_nothing_and_as_wide_as_the_rounds_tell():
    noise = noise_about_known([[1.0, 2.0, 3.0], [0.0, 0.0, 0.3]])
    assert noise.shape == (3, 2)
    assert noise.mean(axis=0) == pytest.approx([0.0, 0.0])
    assert noise[:, 0] == pytest.approx(np.array([-1.0, 0.0, 1.0]) * math.sqrt(1.5))


def test_replayed_gates_are_judged_as_real_ones(monkeypatch):
    """Look by look, with the intervals of runs, and a second time where red."""
    looks, floor, effect = Looks(4, 8), 0.03, 0.04
    noise = noise_about_known([np.random.default_rng(3).normal(scale=0.05, size=10)])
    drawn = []

    class Recorded:
        def __init__(self):
            self.rng = np.random.default_rng(0)

        def choice(self, *args, **options):
            drawn.append(self.rng.choice(*args, **options))
            return drawn[-1]

    with monkeypatch.context() as patch:
        recorded = Recorded()
        patch.setattr(np.random, "default_rng", lambda seed: recorded)
        share = Replay([noise], looks, floor, 50).share_of_red(effect)

    def verdict(values):
        logs = [value + math.log1p(effect) for value in values]
        for rounds in range(looks.first, looks.most + 1):
            ratio = sequential_interval(logs[:rounds], looks)
            change = type(ratio)(ratio.value - 1, ratio.low - 1, ratio.high - 1)
            if decided := change_decided(change, floor):
                return decided
        return change_verdict(change, floor)

    firsts, seconds = ([verdict(one.tolist()) for one in rows] for rows in drawn)
    assert len(seconds) == firsts.count("regressed") > 0
    red = [believed("regressed", again) for again in seconds].count("regressed")
    assert share == red / 50
    assert 0.0 < share < 1.0


def test_replays_are_the_same_each_time():
    noise = noise_about_known([np.random.default_rng(3).normal(scale=0.05, size=10)])
    one, other = (Replay([noise], Looks(), 0.03, 20).interval_of_red(0.05) for _ in range(2))
    assert one == other

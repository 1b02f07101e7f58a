"""Budgets on stages, on records built by hand: a sample is an inspecting process."""

from __future__ import annotations

from typing import Any

import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.profile import Breakdown, BreakdownRow
from perfsuite.domain.recipe import FP32, ResolvedRecipe
from perfsuite.domain.record import (
    NO_BREAKDOWN,
    Evidence,
    EvidenceItem,
    Header,
    Line,
    Measurement,
    Record,
    Run,
)
from perfsuite.domain.suite import Budget, ResolvedSuite
from perfsuite.domain.verdict import Verdict
from perfsuite.judge import judge
from perfsuite.report.sentences import verdict_sentence
from perfsuite.store.runs import fold

MACHINE = Environment(MustMatch("A", 6, 85, 7, (), {}, 2, None), {}, {})
OTHER_MACHINE = Environment(MustMatch("B", 6, 85, 7, (), {}, 2, None), {}, {})
EAGER, FAST = Cell("rcnn", "fp32", "pytorch"), Cell("rcnn", "fp32", "openvino")
# Of 10 seconds each.
RPN_S = (2.0, 2.2, 1.8, 2.0)


def record(cell: Cell, *rpn_s: float, total_s: float = 10.0, **fields: Any) -> Record:
    """A cell in whose n-th inspecting process the stage `rpn` took the n-th time."""
    stages = {n: {"backbone": total_s - one, "rpn": one} for n, one in enumerate(rpn_s)}
    rows = tuple(BreakdownRow(name, "stage", time_s) for name, time_s in stages.get(0, {}).items())
    defaults: dict[str, Any] = {
        "status": "ok",
        "latencies_s": {0: (10.0,)},
        "values": {},
        "evidence": None,
        "labels": (),
        "error": None,
        "breakdown": Breakdown(total_s, 10, rows) if rows else None,
        "stages_s": stages,
    }
    return Record(cell=cell, **(defaults | fields))


def run(*records: Record, environment: Environment = MACHINE, **suite: Any) -> Run:
    made = ResolvedSuite("s", {"rcnn": "rcnn"}, ("pytorch", "openvino"), (FP32,), **suite)
    cells = tuple(one.cell for one in records)
    header = Header(1, "0", "2026-01-01", made, cells, environment)
    return Run(header, {one.cell.id: one for one in records})


def budget(stage: str = "rpn", **fields: Any) -> Budget:
    return Budget("b", "stage_s", cell=FAST.key, stage=stage, **fields)


def verdict(found: Run, baseline: Run | None = None) -> Verdict:
    (only,) = [one for one in judge(found, baseline).verdicts if one.budget == "b"]
    return only


@pytest.mark.parametrize(
    ("limit", "status", "code"),
    [(0.25, "pass", 0), (0.2, "inconclusive", 3), (0.15, "over_budget", 1)],
)
def test_max_share(limit: float, status: str, code: int) -> None:
    runs = run(record(FAST, *RPN_S), budgets=(budget(max_share=limit),))
    found = verdict(runs)
    assert (found.status, judge(runs).exit_code) == (status, code)
    # Shares 0.2, 0.22, 0.18, 0.2: their deviation is sqrt(0.0008 / 3), t with 3 degrees 3.182.
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(0.2)
    assert found.estimate.high - 0.2 == pytest.approx(3.1824 * (0.0008 / 3) ** 0.5 / 2, rel=1e-4)
    assert verdict_sentence(found).startswith(
        "stage rpn: 20 % of the profiled call (17.4 % to 22.6 %), may"
    )
    assert ("measure more processes" in verdict_sentence(found)) == (status == "inconclusive")


def test_a_share_of_nothing_passes_and_one_process_cannot_tell() -> None:
    nothing = run(record(FAST, 0.0, 0.0), budgets=(budget(max_share=0.0),))
    assert verdict(nothing).status == "pass"
    alone = run(record(FAST, 2.0), budgets=(budget(max_share=0.9),))
    assert verdict(alone).status == "inconclusive"
    assert "at least 2 processes" in verdict_sentence(verdict(alone))
    still = run(record(FAST, 0.0, 0.0, total_s=0.0), budgets=(budget(max_share=0.5),))
    assert verdict(still).status == "missing"


@pytest.mark.parametrize(
    ("limit", "status"), [(0.02, "pass"), (0.01, "inconclusive"), (0.005, "over_budget")]
)
def test_max_increase_is_paired_by_round(limit: float, status: str) -> None:
    """Both cells are as slow as their round is: 1 % more in each is 1 % more, nearly exactly."""
    slow = (2.0, 3.0, 2.5, 2.0)
    more = tuple(one * factor for one, factor in zip(slow, (1.011, 1.01, 1.009, 1.01), strict=True))
    found = verdict(
        run(
            record(EAGER, *slow),
            record(FAST, *more),
            budgets=(budget(against=EAGER.key, max_increase=limit),),
        )
    )
    assert found.status == status
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(0.01, abs=1e-5)
    assert verdict_sentence(found).startswith(
        f"stage rpn: stage_s changes by +1 % against {EAGER.key}"
    )


def test_a_speed_up_and_a_limit_in_seconds() -> None:
    pair = (record(EAGER, 4.0, 4.0), record(FAST, 2.0, 2.0))
    faster = verdict(run(*pair, budgets=(budget(against=EAGER.key, min_speedup=2.0),)))
    assert (faster.status, verdict_sentence(faster)) == (
        "pass",
        f"stage rpn: 2x faster than {EAGER.key}, needs 2x",
    )
    absolute = verdict(run(*pair, budgets=(budget(max=1.0),)))
    assert (absolute.status, verdict_sentence(absolute)) == (
        "over_budget",
        "stage rpn: stage_s is 2 s, must be at most 1 s",
    )
    assert verdict(run(record(FAST, 0.0, 0.0), budgets=(budget(max=1.0),))).status == "pass"


def test_a_stage_that_is_not_there_names_those_that_are() -> None:
    found = verdict(run(record(FAST, *RPN_S), budgets=(budget("rpm", max_share=0.5),)))
    assert found.status == "missing"
    assert verdict_sentence(found) == "has no stage 'rpm'; its stages are backbone, rpn"
    without = record(EAGER)
    against = budget(against=EAGER.key, max_increase=0.1)
    found = verdict(run(without, record(FAST, *RPN_S), budgets=(against,)))
    assert (found.status, verdict_sentence(found)) == ("missing", f"{EAGER.key} has no breakdown")


def test_an_engine_without_profiling_says_why() -> None:
    items = (EvidenceItem("reported", "profile", NO_BREAKDOWN, "no engine of that kind"),)
    lacking = record(FAST, labels=(NO_BREAKDOWN,), evidence=Evidence(items))
    found = verdict(run(lacking, budgets=(budget(max_share=0.5),)))
    assert (found.status, verdict_sentence(found)) == (
        "missing",
        "has no breakdown: no engine of that kind",
    )


@pytest.mark.parametrize(("limit", "status"), [(0.2, "pass"), (0.02, "over_budget")])
def test_against_the_baseline(limit: float, status: str) -> None:
    before = run(record(FAST, 2.0, 2.001, 1.999))
    now = run(record(FAST, 2.2, 2.201, 2.199), budgets=(budget(baseline=True, max_increase=limit),))
    assert verdict(now, before).status == status
    elsewhere = run(record(FAST, 2.0, 2.0), environment=OTHER_MACHINE)
    assert verdict(now, elsewhere).status == "incomparable"
    assert verdict_sentence(verdict(now)) == "needs a baseline run: give one with --baseline"


def test_against_the_baseline_of_another_machine_by_ratio() -> None:
    """Twice as slow a machine: the stage's part of eager's is what grew by a tenth."""
    limits = (budget(baseline=True, max_increase=0.05),)
    before = run(record(EAGER, 4.0, 4.001), record(FAST, 2.0, 2.001), environment=OTHER_MACHINE)
    now = run(record(EAGER, 8.0, 8.001), record(FAST, 4.4, 4.401), budgets=limits, compare="ratio")
    found = verdict(now, before)
    assert found.status == "over_budget"
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(0.1, abs=1e-3)


def test_the_time_of_what_is_only_simulated_is_not_judged() -> None:
    simulated = record(FAST, *RPN_S, labels=("simulated",))
    found = verdict(run(simulated, budgets=(budget(max_share=0.9),)))
    assert found.status == "incomparable"


def inspected(number: int | None, rpn_s: float, **more: Any) -> Line:
    rows = {"backbone": 10.0 - rpn_s, "rpn": rpn_s}
    measurements = tuple(Measurement("stage_s", "s", (s,), name) for name, s in rows.items())
    found = Breakdown(10.0, 4, tuple(BreakdownRow(name, "stage", s) for name, s in rows.items()))
    return Line(
        FAST.id, FAST.key, "inspect", "ok", round=number, measurements=measurements,
        breakdown=found, **more,
    )  # fmt: skip


def folded(*lines: Line) -> Record:
    suite = ResolvedSuite(
        "s", {"rcnn": "rcnn"}, ("openvino",), (ResolvedRecipe("fp32"),), processes=2
    )
    header = Header(1, "0", "", suite, (FAST,), MACHINE)
    measured = [Line(FAST.id, FAST.key, "measure", "ok", round=number) for number in (0, 1)]
    lines = (Line(FAST.id, FAST.key, "prepare", "ok"), *lines, *measured)
    return fold(header, lines).records[FAST.id]


def test_inspecting_processes_fold_into_the_stages_of_each_round() -> None:
    found = folded(inspected(1, 3.0), inspected(0, 2.0))
    assert found.status == "ok"
    assert found.stages_s == {0: {"backbone": 8.0, "rpn": 2.0}, 1: {"backbone": 7.0, "rpn": 3.0}}
    assert found.values == {}
    assert found.breakdown is not None
    assert found.breakdown.rows[1].time_s == 2.0, "that of the first round"


def test_a_cell_inspected_once_is_whole_and_one_inspected_in_rounds_needs_all() -> None:
    assert folded(inspected(None, 2.0)).status == "ok"
    assert folded(inspected(0, 2.0)).status == "incomplete"
    assert folded().status == "incomplete"

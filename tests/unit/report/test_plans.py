"""What a plan says."""

from __future__ import annotations

import pytest

from perfsuite.config.run_plan import PlannedJob, RunPlan
from perfsuite.report import plan_document, plan_text

JOBS = (
    PlannedJob("prepare", "net", 1, 15.0, known=True),
    PlannedJob("measure", "net", 4, 12.6, known=True),
    PlannedJob("prepare", "other", 1, 60.0, known=True),
)
CELLS = "net  (prepare 15 s, measure 50 s)\nother  (prepare 60 s)\n"
GUESSED = PlannedJob("measure", "other", 1, 1.0, known=False)


@pytest.mark.parametrize(
    ("plan", "total"),
    [
        (RunPlan(JOBS), "in all about 2 min 5 s"),
        (RunPlan(JOBS, 700.0), "in all at least 2 min 5 s, at most 11 min 40 s"),
    ],
)
def test_a_line_for_each_cell_and_one_for_the_time(plan: RunPlan, total: str) -> None:
    assert plan_text(plan) == CELLS + total


def test_that_it_is_guessed_is_said() -> None:
    text = plan_text(RunPlan((*JOBS, GUESSED), 700.0))
    assert text.endswith("at most 11 min 40 s (partly guessed: no run yet)")


def test_what_cannot_work_is_told_below_its_cell() -> None:
    plan = RunPlan(JOBS, refused={"other": "distill on other: it is an ONNX file"})
    lines = plan_text(plan).splitlines()
    assert lines[2] == (
        "  will be unsupported: distill on other: it is an ONNX file; leave it out, or say so by "
        "an [[expect]], else the run's exit code is 2"
    )
    assert plan_document(plan).refused == plan.refused


def test_programs_get_the_same() -> None:
    found = plan_document(RunPlan(JOBS, 700.0))
    assert (found.total_s, found.at_least, found.at_most_s) == (pytest.approx(125.4), True, 700.0)
    assert plan_document(RunPlan(JOBS)).at_least is False
    assert found.jobs == JOBS

"""Searches whose time is up, on the scripted engine."""

from __future__ import annotations

import pytest
from searches import ENDS, SearchProject, by_recipe

from perfsuite.domain.record import OUT_OF_TIME, Failure, Line
from perfsuite.report.sentences.optimum import explanations, why_text
from perfsuite.runner.job import Job, line_of
from perfsuite.search import costs


def test_when_the_time_is_up_the_best_so_far_is_judged(project: SearchProject) -> None:
    project.script({"int8": 0.005}, {})
    found = project.optimize(minutes=0.001)
    assert found.exit_code == 1
    assert project.phases() == ["1-engines", "5-final"]
    left = [one for one in found.optimum.candidates if not one.key]
    assert left and {one.why for one in left} == {"no_time"}
    assert any("longer than allowed" in one for one in explanations(found.optimum))


def test_passes_that_are_in_the_cache_take_no_time(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "PASS_S", 400.0)
    project.script({"lowrank-int8": 0.001}, {})
    assert project.optimize(minutes=4.0).exit_code == 1
    assert project.phases() == ["1-engines", "5-final"]
    project.out = project.folder / "again"
    (project.folder / "final").unlink()
    assert project.optimize(minutes=4.0).optimum.best == "net/lowrank-int8/fake/cpu/b1"


def test_another_way_to_run_the_net_that_there_was_no_time_for_is_told(
    project: SearchProject,
) -> None:
    project.script({"int8": 0.001}, {"* net/int8/*": 60})
    found = project.optimize(minutes=0.001)
    left = by_recipe(found.optimum)["int8-auto"]
    assert (left.outcome, why_text(left, found.optimum.goal)) == (
        "not_tried",
        "not tried: no time left",
    )


def test_what_is_cut_off_when_the_time_is_up_is_told_and_the_best_so_far_is_judged(
    project: SearchProject,
) -> None:
    times = {"prune-50": 0.0019, "prune-25": 0.001}
    project.script({f"{name}-int8{end}": s for name, s in times.items() for end in ENDS}, {})
    limits: dict[tuple[str, str], float | None] = {}

    def execute(job: Job) -> Line:
        split = job.evaluate.split if job.kind == "evaluate" else job.kind
        limits[job.cell.recipe, split] = job.limit_s
        if job.kind == "prepare" and job.cell.recipe in ("lowrank-int8", "prune-50-int8"):
            error = Failure(OUT_OF_TIME, "it was cut off after 60 s: the time was up")
            return line_of(job, status="failed", error=error)
        return project.execute(job)

    found = project.optimize(execute=execute, minutes=60.0)
    assert found.optimum.best == "net/prune-25-int8/fake/cpu/b1"
    candidates, goal = by_recipe(found.optimum), found.optimum.goal
    late = "no time left: it was cut off after 60 s: the time was up"
    assert why_text(candidates["prune-50-int8-untrained"], goal) == f"not trained: {late}"
    assert why_text(candidates["lowrank-int8"], goal) == f"not tried: {late}"
    # Phase 1 and the reference take what they take, as does the best on the test samples.
    assert {limits[name, "validation"] for name in ("fp32", "int8")} == {None}
    assert {limits[name, "test"] for name in ("fp32", "prune-25-int8")} == {None}
    limited = [one for one in limits.values() if one is not None]
    assert limited and all(3600.0 < one < 1.1 * 3600.0 for one in limited)
    again = project.optimize(execute=execute, minutes=60.0, resume=True)
    assert again.optimum == found.optimum

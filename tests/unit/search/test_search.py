"""Searches on the scripted engine: what is tried, what is chosen, and why nothing else was."""

from __future__ import annotations

import json

import pytest
from searches import SearchProject, by_recipe

from perfsuite.errors import PerfsuiteError
from perfsuite.report.sentences.optimum import explanations, headline, why_text


def test_the_first_phase_that_meets_the_target_ends_the_search(project: SearchProject) -> None:
    project.script({"int8": 0.001}, {"* net/int8/*": 1})
    found = project.optimize()
    assert found.exit_code == 0
    assert project.phases() == ["1-engines", "5-final"]
    best = by_recipe(found.optimum)["int8"]
    assert (found.optimum.best, best.outcome) == ("net/int8/fake/cpu/b1", "chosen")
    assert best.speedup is not None and best.speedup.value == pytest.approx(10.0)
    assert best.loss_points is not None and best.loss_points.value == pytest.approx(0.25)
    assert best.test is not None and best.test.loss_points is not None
    assert [one.status for one in found.optimum.verdicts] == ["pass", "pass"]
    assert {one.why for one in found.optimum.candidates if one.key == ""} == {"target_met"}
    assert headline(found.optimum).startswith("int8 on fake meets the target, at least 5x")


def test_test_samples_are_answered_once_by_what_is_reported(project: SearchProject) -> None:
    project.script({"int8": 0.001}, {})
    project.optimize()
    splits = [
        (job.evaluate.split, job.cell.recipe) for job in project.jobs if job.kind == "evaluate"
    ]
    assert splits == [
        ("validation", "fp32"),
        ("validation", "int8"),
        ("test", "fp32"),
        ("test", "int8"),
    ]
    assert all(job.hold_out for job in project.jobs)


def test_of_several_that_keep_both_limits_the_fastest_is_chosen(project: SearchProject) -> None:
    project.script({"lowrank-int8": 0.001, "fitted-75-int8": 0.0015}, {"* net/lowrank-int8/*": 1})
    found = project.optimize()
    assert found.optimum.best == "net/lowrank-int8/fake/cpu/b1"
    candidates = by_recipe(found.optimum)
    assert candidates["fitted-75-int8"].outcome == "met"
    assert {one.recipe.name for one in found.optimum.candidates if one.front} == {
        "lowrank-int8",
        "fitted-75-int8",
    }


def test_a_verdict_on_the_test_samples_that_says_no_is_told(project: SearchProject) -> None:
    project.script({"int8": 0.001}, {"test net/int8/*": 40})
    found = project.optimize()
    assert found.exit_code == 1
    assert found.optimum.best == "net/int8/fake/cpu/b1"
    assert [one.status for one in found.optimum.verdicts] == ["pass", "over_budget"]
    assert "target is not met" in headline(found.optimum)


def test_out_of_reach_is_told_with_how_near_it_came_and_what_bounds_it(
    project: SearchProject,
) -> None:
    project.script({"int8": 0.005}, {})
    found = project.optimize(speedup=40.0)
    assert found.exit_code == 1
    assert found.optimum.best == "net/int8/fake/cpu/b1"
    bound = found.optimum.bound
    assert bound is not None
    # The engine's script gives INT8 no breakdown of its own: its call of 5 ms is overhead.
    assert bound.speedup == pytest.approx(0.01 / bound.time_s)
    words = " ".join(explanations(found.optimum))
    assert "Within the allowed loss the fastest is int8 on fake: 2x of 40x" in words
    assert "takes at least" in words
    assert (project.out / "optimize.md").read_text().startswith("# optimize net")


def test_without_training_samples_the_rest_is_searched(project: SearchProject) -> None:
    project.change("def train(self):", "def other(self):")
    found = project.optimize()
    assert found.exit_code == 1
    assert project.phases() == ["1-engines", "2-recipes", "5-final"]
    assert "no training samples" in found.optimum.without["training"]
    pruned = by_recipe(found.optimum)["prune-50"]
    assert (pruned.outcome, pruned.why) == ("not_tried", "lacks")
    assert "no training samples" in why_text(pruned, found.optimum.goal)


def test_without_validation_samples_the_least_compression_is_judged_once(
    project: SearchProject,
) -> None:
    project.change("def validation(self", "def other(self")
    project.script({"int8": 0.001, "lowrank-int8": 0.0005}, {})
    found = project.optimize()
    assert found.exit_code == 0
    assert found.optimum.best == "net/int8/fake/cpu/b1"
    assert "validation" in found.optimum.without
    splits = [job.evaluate.split for job in project.jobs if job.kind == "evaluate"]
    assert set(splits) == {"test"}
    assert any("no validation samples to choose by" in one for one in explanations(found.optimum))


def test_without_labels_it_cannot_be_told(project: SearchProject) -> None:
    project.change('metric_name = "top1"', 'metric_name = ""')
    project.script({"int8": 0.001}, {})
    found = project.optimize()
    assert found.exit_code == 3
    assert [one.status for one in found.optimum.verdicts] == ["pass"]


def test_a_failed_candidate_has_its_error(project: SearchProject) -> None:
    (project.folder / "script.json").write_text(
        json.dumps({"*/int8/*": {"open": "raise"}, "*": {"latencies_s": [0.01]}})
    )
    found = project.optimize()
    failed = by_recipe(found.optimum)["int8"]
    assert failed.outcome == "failed"
    assert "scripted" in failed.detail


def test_rows_that_cannot_be_built_say_why_and_others_win(project: SearchProject) -> None:
    """As of nets too narrow to be pruned: each way to run the row fails, and the search goes on."""
    scripts = {"*/prune-*/*": {"build": "raise"}, "*/int8/*": {"latencies_s": [0.001]}}
    slow = {"*": {"latencies_s": [0.01]}}
    (project.folder / "script.json").write_text(json.dumps(scripts | slow))
    (project.folder / "losses.json").write_text(json.dumps({"* net/int8/*": 399}))
    found = project.optimize()
    candidates = by_recipe(found.optimum)
    failed = [one for name, one in candidates.items() if name.startswith("prune-")]
    assert failed
    assert {one.outcome for one in failed} == {"failed"}
    assert all("scripted, in build" in why_text(one, found.optimum.goal) for one in failed)
    assert candidates["int8"].outcome == "loses_too_much"
    assert found.exit_code == 1


def test_a_reference_that_fails_is_an_error(project: SearchProject) -> None:
    (project.folder / "script.json").write_text(json.dumps({"*/fp32/*": {"open": "raise"}}))
    with pytest.raises(PerfsuiteError, match="the reference of this search did not end well"):
        project.optimize()

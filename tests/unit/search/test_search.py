"""Searches on the scripted engine: what is tried, what is chosen, and why nothing else was."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from searches import SearchProject

from perfsuite.domain.optimum import Candidate, Optimum
from perfsuite.domain.record import OUT_OF_TIME, Failure, Line
from perfsuite.domain.survey import Survey
from perfsuite.errors import ConfigError, PerfsuiteError, Unsupported
from perfsuite.report.sentences.optimum import explanations, headline, why_text
from perfsuite.runner.job import Job, line_of
from perfsuite.search.candidates import Row

ENDS = ("", "-untrained")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchProject:
    return SearchProject(tmp_path, monkeypatch)


def by_recipe(found: Optimum) -> dict[str, Candidate]:
    return {one.recipe.name: one for one in found.candidates}


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


def test_what_is_too_slow_untrained_is_not_trained(project: SearchProject) -> None:
    project.script({"prune-50-int8-untrained": 0.0019, "prune-50-int8": 0.0019}, {})
    found = project.optimize()
    candidates = by_recipe(found.optimum)
    assert found.exit_code == 0
    assert found.optimum.best == "net/prune-50-int8/fake/cpu/b1"
    assert project.phases() == ["1-engines", "2-recipes", "3-speeds", "4-trained-1", "5-final"]
    slow = candidates["prune-25-int8-untrained"]
    assert (slow.outcome, slow.untrained) == ("too_slow", True)
    assert why_text(slow, found.optimum.goal) == "too slow even untrained: 1x of 5x"
    trained = {job.cell.recipe for job in project.jobs if "trained" not in job.cell.recipe}
    assert "prune-25-int8" not in trained
    plan = candidates["prune-50-int8"].recipe.passes[0].fields["finetune"]
    assert (plan["epochs"], plan["batch"], plan["averaging"]) == (30, 64, [20, 0.01])


def test_the_least_compression_that_is_fast_enough_is_trained_first(
    project: SearchProject,
) -> None:
    times = {"prune-50": 0.0019, "prune-25": 0.001, "prune-12": 0.0005}
    scripted = {f"{name}-int8{end}": s for name, s in times.items() for end in ENDS}
    project.script(scripted, {"* net/prune-50*": 100})
    found = project.optimize()
    assert found.exit_code == 0
    assert found.optimum.best == "net/prune-25-int8/fake/cpu/b1"
    candidates = by_recipe(found.optimum)
    assert candidates["prune-50-int8"].outcome == "loses_too_much"
    assert candidates["prune-12-int8-untrained"].why == "target_met"
    assert project.phases()[-3:] == ["4-trained-1", "4-trained-2", "5-final"]


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


def test_int8_that_loses_too_much_is_tried_with_layers_in_float(project: SearchProject) -> None:
    project.script({"int8": 0.001, "int8-auto": 0.0015}, {"* net/int8/*": 60})
    found = project.optimize()
    assert found.optimum.best == "net/int8-auto/fake/cpu/b1"
    use = by_recipe(found.optimum)["int8-auto"].recipe.passes[0]
    assert (use.use, use.fields) == ("int8", {"keep": "auto", "max_drop_points": 1.0})
    assert by_recipe(found.optimum)["int8"].outcome == "loses_too_much"


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


def test_when_the_time_is_up_the_best_so_far_is_judged(project: SearchProject) -> None:
    project.script({"int8": 0.005}, {})
    found = project.optimize(minutes=0.001)
    assert found.exit_code == 1
    assert project.phases() == ["1-engines", "5-final"]
    left = [one for one in found.optimum.candidates if not one.key]
    assert left and {one.why for one in left} == {"no_time"}
    assert any("longer than allowed" in one for one in explanations(found.optimum))


def test_a_training_that_takes_too_long_is_not_begun(project: SearchProject) -> None:
    project.script({"prune-50-int8-untrained": 0.001}, {})

    def execute(job: Job) -> Line:
        if job.kind == "survey" and job.recipe.passes:
            found = Survey(training_s=3600.0 if job.training else None)
            return line_of(job, status="ok", survey=found)
        return project.execute(job)

    found = project.optimize(execute=execute, minutes=60.0)
    candidate = by_recipe(found.optimum)["prune-50-int8-untrained"]
    assert (candidate.outcome, candidate.why) == ("not_trained", "no_time")
    assert candidate.needed_s is not None and candidate.needed_s > 3 * 3600.0
    assert "it takes 19" in why_text(candidate, found.optimum.goal)  # 3 epochs, and what follows


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


def test_what_is_trained_already_comes_first(project: SearchProject) -> None:
    times = {"prune-50": 0.0019, "prune-25": 0.001}
    project.script({f"{name}-int8{end}": s for name, s in times.items() for end in ENDS}, {})

    def execute(job: Job) -> Line:
        if job.kind == "survey" and job.recipe.passes:
            trained = job.recipe.name == "prune-25"
            found = Survey(trained=trained, training_s=1.0 if job.training else None)
            return line_of(job, status="ok", survey=found)
        return project.execute(job)

    found = project.optimize(execute=execute)
    assert found.optimum.best == "net/prune-25-int8/fake/cpu/b1"
    assert by_recipe(found.optimum)["prune-50-int8-untrained"].why == "target_met"


def test_a_training_whose_time_cannot_be_told_is_left_out_alone(project: SearchProject) -> None:
    times = {"prune-50": 0.0019, "prune-25": 0.001}
    project.script({f"{name}-int8{end}": s for name, s in times.items() for end in ENDS}, {})

    def execute(job: Job) -> Line:
        if job.kind == "survey" and job.recipe.name == "prune-50":
            error = Failure("BuildError", "its loss is not finite")
            return line_of(job, status="failed", error=error)
        return project.execute(job)

    found = project.optimize(execute=execute)
    assert found.optimum.best == "net/prune-25-int8/fake/cpu/b1"
    left = by_recipe(found.optimum)["prune-50-int8-untrained"]
    assert why_text(left, found.optimum.goal) == "not trained: net: its loss is not finite"


@pytest.mark.parametrize("trained", [True, False])
def test_a_row_of_one_workload_is_tried_if_it_is_in_the_cache(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch, trained: bool
) -> None:
    plan = {"optimizer": "sgd", "epochs": 40}
    row = Row("quarter", "prune", {"macs": 0.25, "finetune": plan}, workload="net")
    monkeypatch.setattr("perfsuite.search.search.rows", lambda workload: [row])
    project.script({"quarter-int8": 0.001}, {})

    def execute(job: Job) -> Line:
        if job.kind == "survey" and job.recipe.passes:
            return line_of(job, status="ok", survey=Survey(trained=trained))
        return project.execute(job)

    found = project.optimize(execute=execute)
    assert found.exit_code == (0 if trained else 1)
    candidates = by_recipe(found.optimum)
    if trained:
        assert found.optimum.best == "net/quarter-int8/fake/cpu/b1"
    else:
        assert candidates["quarter"].detail == "its training is not in the cache"


def test_epochs_follow_from_the_time_that_is_left(project: SearchProject) -> None:
    scripted = {"prune-50-int8-untrained": 0.001, "prune-50-int8": 0.001}
    project.script(scripted, {})

    def execute(job: Job) -> Line:
        if job.kind == "survey" and job.recipe.passes:
            found = Survey(training_s=200.0 if job.training else None)
            return line_of(job, status="ok", survey=found)
        return project.execute(job)

    found = project.optimize(execute=execute, minutes=60.0)
    plan = by_recipe(found.optimum)["prune-50-int8"].recipe.passes[0].fields["finetune"]
    assert plan["epochs"] == 15  # of 220 s each, with a margin, in an hour less what follows


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


def test_a_search_that_has_ended_is_told_again(project: SearchProject) -> None:
    project.script({"int8": 0.001}, {})
    first = project.optimize()
    done = len(project.jobs)
    again = project.optimize(resume=True)
    assert again.optimum == first.optimum
    assert len(project.jobs) == done


def test_a_search_that_was_cut_short_thrice_ends_with_the_same_answer(
    project: SearchProject,
) -> None:
    times = {"prune-50": 0.0019, "prune-25": 0.001}
    scripted = {f"{name}-int8{end}": s for name, s in times.items() for end in ENDS}
    project.script(scripted, {"* net/prune-50*": 100})
    whole = project.optimize().optimum
    jobs, done = len(project.jobs), 0
    cuts = set(random.Random(0).sample(range(1, jobs), 3))
    (project.folder / "final").unlink()
    project.out = project.folder / "cut-short"

    def execute(job: Job) -> Line:
        nonlocal done
        done += 1
        if done in cuts:
            raise KeyboardInterrupt
        return project.execute(job)

    for _ in cuts:
        with pytest.raises(KeyboardInterrupt):
            project.optimize(execute=execute, resume=(project.out / "search.jsonl").exists())
    found = project.optimize(execute=execute, resume=True).optimum
    same = {"created_at": whole.created_at, "spent_s": whole.spent_s}
    assert replace(found, **same) == whole


def test_a_search_does_not_go_on_as_another_one(project: SearchProject) -> None:
    project.script({"int8": 0.001}, {})
    project.optimize()
    with pytest.raises(ConfigError, match="began with other arguments"):
        project.optimize(speedup=6.0, resume=True)
    with pytest.raises(ConfigError, match="there is a search already"):
        project.optimize()


def test_a_search_that_has_ended_goes_on_with_more_minutes(project: SearchProject) -> None:
    project.script({"int8": 0.009}, {})
    before = project.optimize(minutes=0.1).optimum
    done = len(project.jobs)
    assert project.optimize(minutes=0.1, resume=True).optimum == before
    assert len(project.jobs) == done
    times = {"prune-50": 0.0019, "prune-25": 0.001}
    project.script({f"{name}-int8{end}": s for name, s in times.items() for end in ENDS}, {})
    after = project.optimize(resume=True).optimum
    assert (before.exit_code, after.exit_code) == (1, 0)
    assert (project.out / "earlier-1" / "optimize.json").is_file()
    assert after.spent_s > before.spent_s
    # It has met the target: there is nothing to gain.
    assert project.optimize(minutes=600.0, resume=True).optimum.created_at == after.created_at


def test_a_search_that_was_being_set_aside_goes_on(project: SearchProject) -> None:
    project.script({"int8": 0.009}, {})
    project.optimize(minutes=0.1)
    (project.out / "earlier-1").mkdir()
    (project.out / "search.jsonl").rename(project.out / "earlier-1" / "search.jsonl")
    project.optimize(resume=True)
    assert (project.out / "search.jsonl").is_file()
    assert (project.out / "earlier-1" / "1-engines").is_dir()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speedup": 1.0}, "--speedup is 1, and must be above 1"),
        ({"speedup": -3.0}, "must be above 1"),
        ({"speedup": float("nan")}, "must be above 1"),
        ({"max_drop_points": -0.1}, "must be from 0 to 100"),
        ({"max_drop_points": 101.0}, "must be from 0 to 100"),
        ({"minutes": 0.0}, "--minutes is 0"),
        ({"versus": "openvino/fp32"}, "'openvino' is none of the runtimes of this search"),
        ({"versus": "fake/int3"}, "fake has no precision 'int3'"),
        ({"runtimes": ["fak"]}, "did you mean 'fake'"),
        ({"batch": 0}, "--batch is 0"),
    ],
)
def test_a_target_that_contradicts_itself_is_refused(
    project: SearchProject, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        project.optimize(**options)
    assert not project.out.exists()


def test_what_meets_the_target_is_shipped(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Path, str, str]] = []

    def ship(run: Path, cell: str, folder: Path, *, command: str) -> Path:
        shutil.copytree(next((run / "artifacts").iterdir()), folder / "artifact")
        given.append((run, cell, command))
        return folder

    monkeypatch.setattr("perfsuite.ship.ship", ship)
    found = project.optimize(ship=project.folder / "shipped")
    assert (given, found.shipped) == ([], None)
    assert found.not_shipped == "the target is not proven to be met"
    project.script({"int8": 0.001}, {})
    project.out = project.folder / "again"
    (project.folder / "final").unlink()
    found = project.optimize(ship=project.folder / "shipped")
    assert found.shipped == project.folder / "shipped"
    ((run, cell, command),) = given
    assert (run, cell) == (project.out / "5-final", "net/int8/fake/cpu/b1")
    assert command.endswith("--speedup 5 --max-drop-points 1 --versus fake/fp32")


def test_what_cannot_be_shipped_is_found_all_the_same(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ship(*_: object, **__: object) -> Path:
        raise Unsupported("it does not stand alone")

    monkeypatch.setattr("perfsuite.ship.ship", ship)
    project.script({"int8": 0.001}, {})
    found = project.optimize(ship=project.folder / "shipped")
    assert (found.exit_code, found.shipped) == (0, None)
    assert found.not_shipped == "it does not stand alone"


def test_a_folder_to_ship_to_must_be_free(project: SearchProject) -> None:
    with pytest.raises(ConfigError, match="there is something already"):
        project.optimize(ship=project.folder)

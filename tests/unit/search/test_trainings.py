"""What a search trains on the scripted engine, how long, and in which order."""

from __future__ import annotations

from searches import ENDS, SearchProject, by_recipe

from perfsuite.domain.record import Failure, Line
from perfsuite.domain.survey import Survey
from perfsuite.report.sentences.optimum import why_text
from perfsuite.runner.job import Job, line_of


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

"""What a search tries that trains nothing, on the scripted engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from searches import SearchProject, by_recipe

from perfsuite.domain.record import Line
from perfsuite.domain.survey import Survey
from perfsuite.runner.job import Job, line_of
from perfsuite.runtimes.fake.runtime import Fake
from perfsuite.search.candidates import ROWS, Row
from perfsuite.search.ways import FEWER_BOXES, Way


def test_int8_that_loses_too_much_is_tried_with_layers_in_float(project: SearchProject) -> None:
    project.script({"int8": 0.001, "int8-auto": 0.0015}, {"* net/int8/*": 60})
    found = project.optimize()
    assert found.optimum.best == "net/int8-auto/fake/cpu/b1"
    use = by_recipe(found.optimum)["int8-auto"].recipe.passes[0]
    assert (use.use, use.fields) == ("int8", {"keep": "auto", "max_drop_points": 1.0})
    assert by_recipe(found.optimum)["int8"].outcome == "loses_too_much"


@pytest.mark.parametrize("trained", [True, False])
def test_a_row_of_some_workloads_is_tried_if_it_is_in_the_cache(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch, trained: bool
) -> None:
    plan = {"optimizer": "sgd", "epochs": 40}
    row = Row("quarter", "prune", {"macs": 0.25, "finetune": plan}, workloads=("net",))
    lowrank = next(one for one in ROWS if one.name == "lowrank")
    monkeypatch.setattr("perfsuite.search.search.rows", lambda workload, survey: [lowrank, row])
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
        # What takes longer was not needed.
        assert project.phases() == ["1-engines", "2-ready", "5-final"]
        assert candidates["lowrank"].why == "target_met"
    else:
        assert candidates["quarter"].detail == "its training is not in the cache"


def test_a_detector_chooses_from_fewer_boxes_also_where_it_is_pruned(
    project: SearchProject,
) -> None:
    fewer = {"fewer-int8": 0.0025, "prune-50-fewer-int8": 0.0019}
    project.script(fewer | {"prune-50-fewer-int8-untrained": 0.0019, "int8": 0.004}, {})
    found = project.optimize(execute=with_boxes(project, 1000))
    assert found.optimum.best == "net/prune-50-fewer-int8/fake/cpu/b1"
    assert found.exit_code == 0
    best = by_recipe(found.optimum)["prune-50-fewer-int8"]
    assert [one.use for one in best.recipe.passes] == ["prune", "proposals", "int8"]
    assert best.recipe.passes[1].fields == {"pre_nms": FEWER_BOXES}
    # Ways beside the two fastest are not tried with more passes.
    assert "prune-50-untrained" not in by_recipe(found.optimum)


@pytest.mark.parametrize("boxes", [0, FEWER_BOXES])
def test_other_nets_and_detectors_with_few_boxes_are_left_as_they_are(
    project: SearchProject, boxes: int
) -> None:
    found = project.optimize(execute=with_boxes(project, boxes))
    assert not [name for name in by_recipe(found.optimum) if "fewer" in name]


def test_a_pass_that_needs_kernels_is_tried_in_float_on_engines_that_have_them(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("bits", "binarize", {"untrained": True}, workloads=("net",))
    monkeypatch.setattr("perfsuite.search.search.rows", lambda workload, survey: [row])
    project.script({"bits": 0.001, "int8": 0.004}, {})
    left = by_recipe(project.optimize().optimum)["bits"]
    assert (left.why, left.detail) == ("lacks", "no engine of this search has kernels for it")
    monkeypatch.setattr(Fake, "kernels", ("binary",), raising=False)
    project.out = project.folder / "again"
    (project.folder / "final").unlink()
    found = project.optimize()
    assert found.optimum.best == "net/bits/fake/cpu/b1"
    assert "bits-int8" not in by_recipe(found.optimum)


def with_boxes(project: SearchProject, boxes: int) -> Callable[[Job], Line]:
    """Return what does jobs as of a detector that chooses from so many boxes."""

    def execute(job: Job) -> Line:
        line = project.execute(job)
        if line.survey is None or job.recipe.passes:
            return line
        return replace(line, survey=replace(line.survey, boxes=boxes))

    return execute


def test_where_the_reference_is_the_only_engine_its_net_is_made_smaller(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As eager PyTorch, on a processor without bf16: it runs no INT8, and can be pruned."""
    monkeypatch.setattr("perfsuite.search.search.ways", lambda engines: [Way("fake")])
    project.script({"lowrank": 0.001}, {})
    found = project.optimize()
    assert found.exit_code == 0
    assert found.optimum.best == "net/lowrank/fake/cpu/b1"


def test_what_loses_nothing_is_tried_with_more_passes_though_it_is_the_reference(
    project: SearchProject,
) -> None:
    project.script({"int8": 0.004, "lowrank": 0.001}, {"* net/*int8/*": 399})
    found = project.optimize()
    assert found.optimum.best == "net/lowrank/fake/cpu/b1"

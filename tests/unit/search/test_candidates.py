"""The table of recipes: each row gives passes that exist, to be timed and to be trained."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from perfsuite.config.checking import make_pass
from perfsuite.config.loading import load_suite
from perfsuite.domain.recipe import FP32, PassUse
from perfsuite.domain.survey import Survey
from perfsuite.runner.build.artifacts import load_runtime
from perfsuite.runner.build.steps import steps_of
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import Job, first_job
from perfsuite.search.candidates import ROWS, Row, module_pass, plan_of, recipe, rows
from perfsuite.search.ways import Way
from perfsuite.store.cache import SHIPPED, Cache
from perfsuite.training.plan import SgdPlan

SUITES = Path(__file__).parents[3] / "benchmarks"
INT8 = Way("openvino", last=(PassUse("int8"),), suffix="int8")
CLASSES = Survey(metric="top1", training_samples=48_000)


@pytest.mark.parametrize("row", rows("vgg16-cifar10", CLASSES), ids=lambda row: row.name)
def test_every_row_makes_passes(row: Row) -> None:
    plan = None if row.schedule is None else plan_of(row.schedule, 10, CLASSES)
    for given in (None, plan):
        for use in recipe(row, INT8, "openvino", given).passes:
            make_pass(use)


def test_every_student_is_a_row_where_it_does_what_the_net_does() -> None:
    from perfsuite.models.students import STUDENTS

    def students(survey: Survey) -> list[str]:
        return [row.name for row in rows("net", survey) if row.use == "distill"]

    detecting = students(msgspec.structs.replace(CLASSES, boxes=1000))
    assert detecting == ["distill-faster-rcnn-shufflenet-x0.5"]
    assert {*students(CLASSES), *detecting} == {f"distill-{name}" for name in STUDENTS}
    assert not {*students(CLASSES)} & {*detecting}


def test_the_names_of_recipes_tell_what_they_are() -> None:
    row = next(one for one in ROWS if one.name == "prune-50")
    plain = Way("openvino")
    assert recipe(None, plain) == FP32
    assert recipe(None, INT8).name == "int8"
    assert recipe(row, plain, "openvino").name == "prune-50-untrained"
    assert recipe(row, INT8, "openvino").name == "prune-50-int8-untrained"
    assert recipe(row, INT8, "openvino", {"epochs": 3}).name == "prune-50-int8"
    assert recipe(ROWS[0], INT8, "openvino").name == "lowrank-int8"


def test_a_row_is_timed_without_training_and_by_the_clock_of_one_engine() -> None:
    row = next(one for one in ROWS if one.name == "prune-50")
    timed, trained = (
        recipe(row, Way("openvino"), "onnxruntime", plan).passes[0]
        for plan in (None, {"epochs": 3})
    )
    assert timed.fields == {"macs": 0.5, "importance": "l2", "runtime": "onnxruntime"}
    assert trained.fields["finetune"] == {"epochs": 3}
    assert trained.fields["importance"] == "taylor"


def test_plans_suit_what_the_task_learns() -> None:
    schedule = next(one.schedule for one in ROWS if one.name == "prune-50")
    assert schedule is not None
    plan = plan_of(schedule, 12, CLASSES)
    assert (plan["optimizer"], plan["batch"], plan["averaging"]) == ("sgd", 128, [8, 0.01])
    assert "averaging" not in plan_of(schedule, 1, CLASSES)
    few = plan_of(schedule, 12, Survey(training_samples=20))
    assert few["batch"] == 20
    boxes = Survey(training_samples=500, own_loss=True)
    assert plan_of(schedule, 6, boxes)["optimizer"] == "adam"
    assert plan_of(schedule, 6, boxes)["teacher"] == 0.0
    taught = Survey(training_samples=500, own_loss=True, taught=True)
    assert plan_of(schedule, 6, taught)["teacher"] > 0.0


def test_the_whole_training_of_a_student_is_that_of_the_pass() -> None:
    """So that what was trained by its defaults is found in the cache."""
    from perfsuite.passes.distill.distill import PLAN

    row = next(one for one in rows("net", CLASSES) if one.use == "distill")
    assert row.schedule is not None
    plan = plan_of(row.schedule, row.schedule.epochs, CLASSES)
    assert msgspec.convert(plan, SgdPlan) == PLAN


@pytest.mark.parametrize("clock", ["", "onnxruntime", "openvino"])
def test_a_row_for_one_workload_has_exactly_its_fields(clock: str) -> None:
    """What was trained with them is found under a key that is the same on every machine."""
    fields = {"speedup": 3.0, "importance": "taylor", "finetune": {"optimizer": "sgd", "epochs": 2}}
    own = Row("own", "prune", fields, workloads=("vgg",))
    assert module_pass(own, clock).fields == fields
    assert recipe(own, Way("int8", (PassUse("int8"),)), clock).passes[0].fields == fields
    others = msgspec.structs.replace(own, workloads=())
    assert module_pass(others, clock).fields.get("runtime", "") == clock


def test_a_row_of_another_workload_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from perfsuite.search import candidates

    own = Row("own", "int8", {}, workloads=("vgg",))
    monkeypatch.setattr(candidates, "ROWS", (own, *ROWS))
    assert own in rows("vgg", CLASSES)
    assert own not in rows("net", CLASSES)


# The cells, by row, whose trainings come with perfsuite.
SHIPS = {
    "trained-25": [("prune", "vgg16-cifar10/quarter/onnxruntime/cpu/b1")],
    "trained-shufflenet": [("distill", "vgg16-cifar10/shufflenet/onnxruntime/cpu/b1")],
    "trained-binary": [
        ("binary", "vgg16-cifar10/binary/openvino/cpu/b1"),
        ("binary", "resnet10/binary/openvino/cpu/b1"),
    ],
}


def key_and_job(suite: str, key: str, folder: Path) -> tuple[str, Job]:
    """Return the key of what a cell of a suite of `benchmarks/` trains, and its first job."""
    resolved, cells, _ = load_suite(SUITES / f"{suite}.toml")
    (cell,) = (one for one in cells if one.key == key)
    job = first_job(resolved, cell)
    runtime = load_runtime(job.runtime)
    workload, steps = workload_of(job), steps_of(job, runtime)
    return VariantBuilder(workload, job, steps, runtime, Cache(folder)).edits_key, job


def test_what_ships_is_tried_and_is_what_its_suite_says(tmp_path: Path) -> None:
    """The key is that of the recipe, the net, the data and the pass's version: a change of any
    of these asks for another training, or for the same one under its new key."""
    pytest.importorskip("torch")
    shipped = [row for row in ROWS if row.workloads]
    assert [row.name for row in shipped] == list(SHIPS)
    keys = []
    for row in shipped:
        found = [key_and_job(*one, tmp_path) for one in SHIPS[row.name]]
        assert row.workloads == tuple(job.cell.workload for _, job in found)
        for key, job in found:
            assert [PassUse(row.use, row.fields)] == list(job.recipe.passes)
            keys.append(key)
    assert sorted(one.name for one in (SHIPPED / "edits").iterdir()) == sorted(keys)

"""What a survey finds of a workload: its samples, and how long a training takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from searches import SearchProject

from perfsuite.config.optimize_suite import optimize_suite
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.record import Line
from perfsuite.domain.survey import Survey
from perfsuite.runner.job import first_job
from perfsuite.runner.worker import run_job


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchProject:
    return SearchProject(tmp_path, monkeypatch)


def line(reference: str = "net.py:net", runtime: str = "fake", **asked: Any) -> Line:
    suite = optimize_suite(reference, [runtime], threads=1)
    passes: tuple[PassUse, ...] = asked.pop("passes", ())
    recipe = ResolvedRecipe("asked", passes) if passes else FP32
    suite = replace(suite, recipes=(FP32, recipe))
    cell = Cell(next(iter(suite.workloads)), recipe.name, runtime)
    return run_job(replace(first_job(suite, cell), kind="survey", **asked))


def test_a_task_with_all_samples(project: SearchProject) -> None:
    found = line().survey
    assert found == Survey(metric="top1", training_samples=64)


def test_what_a_task_lacks_is_told_with_what_to_define(project: SearchProject) -> None:
    project.change("def train(self):", "def other(self):")
    found = line().survey
    assert found is not None
    assert list(found.without) == ["training"]
    assert "`train`" in found.without["training"]


def test_training_samples_are_those_that_are_not_held_out(project: SearchProject) -> None:
    """A plan's batch follows from their number, and may not be larger."""
    held_out = "def held_out(self):\n        return np.arange(9)\n\n    def train(self):"
    project.change("def train(self):", held_out)
    assert line().survey == Survey(metric="top1", training_samples=64 - 9)


def test_a_training_set_without_samples_is_none(project: SearchProject) -> None:
    project.change("np.zeros((64, 4), np.float32), np.zeros(64, int)", "np.zeros((0, 4)), []")
    found = line().survey
    assert found is not None
    assert found.without == {"training": "its train() gives no samples"}


def test_a_task_without_validation_samples(project: SearchProject) -> None:
    project.change("def validation(self", "def other(self")
    found = line().survey
    assert found is not None
    assert "`validation(predict, samples)`" in found.without["validation"]


def test_a_task_without_a_metric_has_nothing_to_choose_by(project: SearchProject) -> None:
    project.change('metric_name = "top1"', 'metric_name = ""')
    found = line().survey
    assert found is not None
    assert (found.metric, found.without) == (
        "",
        {"validation": "its task has no labelled samples"},
    )


def test_a_validation_that_fails_is_an_error(project: SearchProject) -> None:
    project.change(
        'return self.answered(predict, "validation", 2)', 'raise ValueError("no such folder")'
    )
    failed = line()
    assert failed.status == "failed"
    assert failed.error is not None and "no such folder" in failed.error.message


def test_test_samples_are_not_looked_at(project: SearchProject) -> None:
    """Asking for any would raise: see `searches.NET`."""
    assert line().status == "ok"


def test_a_scripted_engine_trains_nothing(project: SearchProject) -> None:
    use = PassUse("prune", {"macs": 0.5})
    assert line(passes=(use,)).survey == Survey(trained=True)
    plan = {"optimizer": "sgd", "epochs": 1}
    assert line(passes=(use,), training=plan).survey == Survey(training_s=0.0)


NET = '''
"""A small classifier of numbers."""

import numpy as np
import torch
from torch import nn

from perfsuite import Model, Task, TrainingSet, Workload


class Numbers(Task):
    def inputs(self, batch, seed):
        rng = np.random.default_rng([seed, batch])
        return {"x": rng.normal(size=(batch, 8)).astype(np.float32)}

    def train(self):
        labels = np.arange(96) % 4
        return TrainingSet(self.inputs(96, 0)["x"], labels, lambda x, rng: x)


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))


net = Workload("net", Model(build), Numbers())
'''


def test_the_time_of_a_training_is_measured_on_the_net_that_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    (tmp_path / "net.py").write_text(NET)
    fields = {"ratio": 0.5, "scope": "uniform", "importance": "l2"}
    plan = {"optimizer": "sgd", "epochs": 2, "batch": 32, "teacher": 0.5}
    use = PassUse("prune", fields)
    assert line(runtime="pytorch", passes=(use,)).survey == Survey(trained=False)
    found = line(runtime="pytorch", passes=(use,), training=plan).survey
    assert found is not None and found.training_s is not None and found.training_s > 0.0
    assert line(runtime="pytorch", passes=(use,)).survey == Survey(trained=True)


@pytest.mark.parametrize(("attribute", "boxes"), [("topk_candidates", 400), ("hidden", 0)])
def test_a_detector_tells_from_how_many_boxes_it_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attribute: str, boxes: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    made, linear = "return nn.Sequential(", "nn.Linear(32, 4))\n"
    assert NET.count(made) == NET.count(linear) == 1
    net = NET.replace(made, "net = nn.Sequential(")
    net = net.replace(linear, f"{linear}    net.{attribute} = 400\n    return net\n")
    (tmp_path / "net.py").write_text(net)
    found = line(runtime="pytorch").survey
    assert found is not None and found.boxes == boxes

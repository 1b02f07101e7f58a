"""Which layers passes can change one by one, asked in a job, of a tiny torch net and a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_runs import here
from onnx_net import SIDE, save, weights

from perfsuite.config.sensitivity_suite import asked_suite
from perfsuite.domain.sensitivity import Answer
from perfsuite.errors import BuildError, PerfsuiteError, Unsupported
from perfsuite.runner import asking
from perfsuite.runner.asking import ask

NET = """
from collections import OrderedDict
from typing import ClassVar

import msgspec
import numpy as np

from perfsuite import Changeable, Edits, Model, Stage, Task, TrainingSet, Unsupported, Workload


class Pictures(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        rng = np.random.default_rng([seed, batch])
        return {"x": rng.normal(size=(batch, 3, 8, 8)).astype(np.float32)}

    def calibration(self, samples):
        yield self.inputs(samples, 1)


class Taught(Pictures):
    def train(self):
        x = self.inputs(32, 2)["x"]
        return TrainingSet(x, np.zeros(32, np.int64), lambda batch, rng: batch)

    def validation(self, predict, samples=None):
        return np.ones((predict(self.inputs(8, 3))[0].shape[0], 1))

    def metric(self, rows):
        return float(rows.mean())


def build():
    from torch import nn

    body = nn.Sequential(OrderedDict(a=nn.Conv2d(8, 16, 3), relu=nn.ReLU(), b=nn.Conv2d(16, 8, 3)))
    return nn.Sequential(OrderedDict(
        stem=nn.Conv2d(3, 8, 1), body=body, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(),
        head=nn.Linear(8, 4),
    )).eval()


stages = (Stage("front", ("stem", "body.a")), Stage("back", ("body", "head")))
plain = Workload("plain", Model(build), Pictures())
staged = Workload("staged", Model(build, stages=stages), Taught())


class NoLayers(msgspec.Struct, frozen=True):
    version: ClassVar[int] = 1

    def resolve(self, target):
        return ""

    def fit(self, model, ctx):
        return Edits()

    def rebuild(self, model, edits):
        return model


class Mine(NoLayers, frozen=True):
    layers: tuple[str, ...] = ()

    def changeable(self, model, ctx):
        return Changeable(("head",), {"stem": "mine is for linear layers"})


class Wrong(Mine, frozen=True):
    def changeable(self, model, ctx):
        return ["head"]


class Broken(Mine, frozen=True):
    def changeable(self, model, ctx):
        raise KeyError("stem")


class Nothing(Mine, frozen=True):
    def changeable(self, model, ctx):
        return Changeable(())
"""
EVERY = ("stem", "body.a", "body.b", "head")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(asking, "run_job_in_process", here)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NET)
    return tmp_path


def answer(workload: str, pass_: str, runtime: str, samples: Path | None = None) -> Answer:
    asked = asked_suite(workload, [pass_], runtime, threads=1, samples=samples)
    (cell,) = asked.cells.values()
    return ask(asked.suite, cell)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_int8_on_a_module(runtime: str) -> None:
    found = answer("nets.py:plain", "int8", runtime)
    assert (found.changeable.layers, found.changeable.left) == (EVERY, {})
    # No stages are declared, so that the first modules in which paths differ are.
    assert found.stages == {"stem": ("stem",), "body": ("body.a", "body.b"), "head": ("head",)}
    assert (found.trains, found.validates) == (False, False)


def test_declared_stages_have_their_layers_and_the_task_what_it_has() -> None:
    found = answer("nets.py:staged", "int8", "onnxruntime")
    assert found.stages == {"front": ("stem", "body.a"), "back": ("body.b", "head")}
    assert found.validates
    assert not found.trains  # int8 does not: nobody has looked


@pytest.mark.parametrize(
    ("pass_", "layers", "left"), [("prune", EVERY[:3], ["head"]), ("lowrank", EVERY, [])]
)
def test_passes_on_modules(pass_: str, layers: tuple[str, ...], left: list[str]) -> None:
    found = answer("nets.py:staged", pass_, "pytorch")
    assert found.changeable.layers == layers
    assert list(found.changeable.left) == left
    assert (found.trains, found.validates) == (True, True)


def test_int8_on_a_file_whose_nodes_have_names(project: Path) -> None:
    save(project / "net.onnx", weights())
    np.savez(project / "s.npz", x=np.zeros((8, 3, SIDE, SIDE), np.float32))
    found = answer("net.onnx", "int8", "openvino", project / "s.npz")
    assert found.changeable.layers == ("conv", "linear")
    assert not found.validates


def test_int8_without_calibration_samples_is_refused_before_anything_is_run(project: Path) -> None:
    save(project / "net.onnx", weights())
    with pytest.raises(Unsupported, match="no calibration samples; give it a samples file"):
        answer("net.onnx", "int8", "openvino")


def test_a_model_pass_on_a_file_is_refused(project: Path) -> None:
    save(project / "net.onnx", weights())
    with pytest.raises(Unsupported, match="a model pass needs the torch module"):
        answer("net.onnx", "prune", "onnxruntime")


def test_int8_on_an_engine_that_takes_modules_is_refused() -> None:
    with pytest.raises(Unsupported, match="pytorch takes the module; these take graphs"):
        answer("nets.py:plain", "int8", "pytorch")


def test_a_pass_of_a_users_own() -> None:
    found = answer("nets.py:plain", "nets.py:Mine", "pytorch")
    assert found.changeable.layers == ("head",)
    assert found.changeable.left == {"stem": "mine is for linear layers"}


@pytest.mark.parametrize(
    ("pass_", "error", "message"),
    [
        ("NoLayers", Unsupported, r"give it a field `layers`, and a method `changeable\(model"),
        ("Wrong", PerfsuiteError, r"its changeable\(\) must give a perfsuite.Changeable, not list"),
        ("Broken", BuildError, r"its changeable\(\) failed in line \d+ of nets.py with KeyError"),
        ("Nothing", Unsupported, "there is no layer that it could change"),
    ],
)
def test_what_is_wrong_with_a_pass_is_told(
    pass_: str, error: type[PerfsuiteError], message: str
) -> None:
    with pytest.raises(error, match=message):
        answer("nets.py:plain", f"nets.py:{pass_}", "pytorch")


def test_an_engine_that_runs_no_model_has_the_stages_that_are_declared() -> None:
    found = answer("nets.py:staged", "int8", "fake")
    assert found.changeable.layers == ()
    assert found.stages == {"front": ("stem", "body.a"), "back": ("body", "head")}

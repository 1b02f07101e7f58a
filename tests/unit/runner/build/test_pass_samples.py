"""What passes may see of a task's samples, and what is held out of their training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from pass_net import NET, SCALE, builder, project

from perfsuite.domain.model import InputSpec, Model
from perfsuite.domain.suite import Evaluate
from perfsuite.domain.task import Inputs, Outputs, Task, TrainingSet
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.runner.build import pass_samples
from perfsuite.runner.build.pass_samples import PassSamples
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.store.cache import key_of

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

HELD_OUT = """
    def train(self):
        points = np.arange(40, dtype=np.float32).reshape(10, 4)
        return TrainingSet(points, np.zeros(10, int), lambda batch, rng: batch)

    def validation(self, predict, samples=None):
        return predict({"x": np.ones((3, 4), np.float32)})[0][:, :1].astype(np.float64)

    def held_out(self):
        return %s

    def fingerprint("""
LEARNING = NET.replace("Task, Workload", "Task, TrainingSet, Workload")


def made(folder: Any, held_out: str, *passes: str, hold_out: bool = True) -> VariantBuilder:
    net = LEARNING.replace("\n    def fingerprint(", HELD_OUT % held_out)
    found = builder(folder, *passes, net=net)
    job = msgspec.structs.replace(found.job, hold_out=hold_out)
    return VariantBuilder(found.workload, job, found.steps, found.runtime, found.cache)


def key(one: VariantBuilder) -> str:
    """Return the key of what passes see of data with the key `data`."""
    return one._samples.key("data", one.cache)


@pytest.fixture
def folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    return project(tmp_path, monkeypatch)


def test_passes_train_without_what_is_held_out_and_have_keys_of_their_own(folder: Any) -> None:
    without, whole = (
        made(folder, "np.array([0, 9])", SCALE, hold_out=hold_out) for hold_out in (True, False)
    )
    contexts = [one.context(one.steps[0], "key") for one in (without, whole)]
    found = [context.train().inputs[:, 0].tolist() for context in contexts]
    assert found == [[4 * place for place in range(1, 9)], [4 * place for place in range(10)]]
    assert without.data_key == whole.data_key, (
        "what an artifact's inputs are taken from is the same"
    )
    assert without.model_key == whole.model_key
    assert without.edits_key != whole.edits_key
    places = key_of(np.array([0, 9]).tobytes())
    held_out = key_of(whole.data_key, "held out", places)
    assert without.edits_key == without.steps[0].key(
        without.model_key, held_out, without.target(without.steps[0])
    )


def test_other_samples_held_out_are_another_key(folder: Any) -> None:
    """The source is in the key of the model, so that of the samples is looked at alone."""
    keys = set()
    for places in ("0", "1", "0, 1"):
        one = made(folder / places, f"np.array([{places}])", SCALE)
        keys.add(key(one))
    assert len(keys) == 3


def test_what_has_samples_of_its_own_is_trained_once(folder: Any) -> None:
    one, other = (made(folder, "None", SCALE, hold_out=hold_out) for hold_out in (True, False))
    assert one.edits_key == other.edits_key
    assert key(one) == "data"
    assert len(one._samples.train().inputs) == 10


def test_a_pass_gets_rows_and_the_main_metric(folder: Any) -> None:
    one = made(folder, "np.array([3])", SCALE)
    context = one.context(one.steps[0], "key")
    rows = context.validation(lambda inputs: [inputs["x"] * 0.5])
    assert rows.tolist() == [[0.5]] * 3
    assert context.metric(rows) == 0.5


def test_validation_needs_that_they_are_held_out_where_passes_train(folder: Any) -> None:
    trained = made(folder, "np.array([3])", SCALE, hold_out=False)
    with pytest.raises(ConfigError) as caught:
        trained.context(trained.steps[0], "key").validation(lambda inputs: [inputs["x"]])
    assert str(caught.value) == (
        "net/r/onnxruntime/cpu/b1: its validation samples are training samples, and its recipe "
        "trains on them; leave them out of training with hold_out = true in the suite"
    )
    rounded = made(folder, "np.array([3])", '{ use = "int8" }', hold_out=False)
    rows = rounded.context(rounded.steps[0], "key").validation(lambda inputs: [inputs["x"]])
    assert len(rows) == 3, "INT8 trains nothing"
    own = made(folder / "own", "None", SCALE, hold_out=False)
    assert len(own.context(own.steps[0], "key").validation(lambda inputs: [inputs["x"]])) == 3


def test_before_anything_is_trained_it_is_told_that_it_may_not_judge(folder: Any) -> None:
    """An evaluate job would find it out only after the training."""
    for hold_out, held_out, use in (
        (False, "np.array([3])", SCALE),
        (True, "np.array([3])", SCALE),
        (False, "None", SCALE),
    ):
        one = made(folder / f"{hold_out}{held_out}", held_out, use, hold_out=hold_out)
        one.variant()  # where tests judge, all may train
        asked = msgspec.structs.replace(one.job, evaluate=Evaluate(split="validation"))
        again = VariantBuilder(one.workload, asked, one.steps, one.runtime, one.cache)
        if hold_out or held_out == "None":
            again.variant()
        else:
            with pytest.raises(ConfigError, match="with hold_out = true in the suite"):
                again.variant()


def test_a_task_without_any_says_so(folder: Any) -> None:
    one = builder(folder, SCALE)
    context = one.context(one.steps[0], "key")
    with pytest.raises(Unsupported, match="this task has no validation samples"):
        context.validation(lambda inputs: [])


def test_which_are_held_out_is_found_out_once(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that measures must not load a training set for the key of what it opens."""
    one = made(folder, "np.array([3])", SCALE)
    first = one.edits_key

    def fails(self: Any) -> None:
        raise AssertionError("held_out() may load a training set")

    monkeypatch.setattr(type(one.workload.task), "held_out", fails)
    again = VariantBuilder(one.workload, one.job, one.steps, one.runtime, one.cache)
    assert again.edits_key == first


class Points(Task):
    """Numbers, of which any number calibrates."""

    def calibration(self, samples: int) -> Iterator[Inputs]:
        yield {"x": np.arange(samples, dtype=np.float32)[:, None]}

    def train(self) -> TrainingSet:
        return TrainingSet(np.arange(3), np.arange(3), lambda batch, rng: batch)

    def validation(self, predict: Any, samples: int | None = None) -> np.ndarray:
        rows: np.ndarray = predict({"x": np.array([[1.0], [2.0], [4.0]], np.float32)})[0]
        return rows


def samples_of(folder: Any, *, hold_out: bool, why: str = "") -> PassSamples:
    spec = (InputSpec("x", "float32", ("batch", 1)),)
    workload = Workload("net", Model(onnx=folder / "net.onnx", inputs=spec), Points())
    job = msgspec.structs.replace(builder(folder, SCALE).job, hold_out=hold_out)
    return PassSamples(workload, job, False, lambda: why)


def test_calibration_does_not_reach_into_validation(folder: Any) -> None:
    for hold_out, most in ((True, 500), (False, 501)):
        (batch,) = samples_of(folder, hold_out=hold_out).calibration(most)
        assert len(batch["x"]) == most
    with pytest.raises(ConfigError, match="501 calibration samples are asked for, and with hold"):
        samples_of(folder, hold_out=True).calibration(501)


def test_a_model_that_takes_one_sample_is_asked_for_one_at_a_time(folder: Any) -> None:
    asked: list[tuple[int, ...]] = []

    def predict(inputs: Inputs) -> Outputs:
        asked.append(inputs["x"].shape)
        return [inputs["x"] + 1]

    singly = samples_of(folder, hold_out=True, why="it has a batch of 1 inside")
    assert singly.validation(predict).tolist() == [[2.0], [3.0], [5.0]]
    assert asked == [(1, 1)] * 3
    assert [len(one["x"]) for one in singly.calibration(3)] == [1, 1, 1]
    asked.clear()
    samples_of(folder, hold_out=True).validation(predict)
    assert asked == [(3, 1)]


def test_keys_without_hold_out_ask_for_nothing(
    folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Any) -> None:
        raise AssertionError("held_out() may load a training set")

    one = made(folder, "np.array([3])", SCALE, hold_out=False)
    monkeypatch.setattr(type(one.workload.task), "held_out", fails)
    assert key(one) == "data"
    assert pass_samples.KEPT_FOR_CALIBRATION == 500

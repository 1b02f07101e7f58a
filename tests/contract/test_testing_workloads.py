"""`check_workload` finds each way to break the contract, and says how to mend it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from open_sides import segmenter, steps_first, thresholded, without_batch

from perfsuite import (
    Batches,
    InputSpec,
    Model,
    Preprocessing,
    Stage,
    SubsetMetric,
    Task,
    TrainingSet,
    Workload,
)
from perfsuite.testing import check_workload
from perfsuite.testing.samples import pictures, small_net
from perfsuite.workloads.onnx.file import onnx_workload


class Good(Task):
    metric_name = "top1"

    def inputs(self, batch: int, seed: int) -> dict[str, np.ndarray]:
        return pictures(batch, seed)

    def calibration(self, samples: int) -> Iterator[dict[str, np.ndarray]]:
        yield pictures(samples, 7)

    def train(self) -> TrainingSet:
        return TrainingSet(
            pictures(20, 8)["image"], np.zeros(20), lambda batch, rng: batch.astype(np.float32)
        )

    def rows(self, predict: Any, samples: int | None = None) -> np.ndarray:
        logits = predict(pictures(samples or 50, 9))[0]
        rows: np.ndarray = (logits.argmax(axis=1) == 0).astype(np.float64)[:, None]
        return rows

    def metric(self, rows: np.ndarray) -> float:
        return float(rows.mean())


def task(**methods: Any) -> Task:
    """Return a good task with some of its methods replaced."""
    made: Task = type("Bad", (Good,), methods)()
    return made


def workload(task: Task | None = None, *, name: str = "net", **model: Any) -> Workload:
    return Workload(name, Model(**{"build": small_net, **model}), task or Good())


def random_net() -> Any:
    net = small_net()
    net[0].weight.data[0] = float(np.random.default_rng().normal())
    return net


def broken_net() -> Any:
    net = small_net()
    net[7].bias.data[0] = np.inf
    return net


def share(rows: np.ndarray) -> float:
    return float(rows[:, 0].mean())


def noise(rows: np.ndarray) -> np.ndarray:
    return rows + np.random.default_rng().normal(size=rows.shape)


def validating(seed: int, **methods: Any) -> Task:
    """Return a good task whose validation samples are drawn by `seed`."""

    def validation(_: Task, predict: Any, samples: int | None = None) -> np.ndarray:
        logits = predict({"image": pictures(300, seed)["image"][:samples]})[0]
        rows: np.ndarray = (logits.argmax(axis=1) == 0).astype(np.float64)[:, None]
        return rows

    return task(validation=validation, **methods)


def right_answers(_: Task, predict: Any, samples: int | None = None) -> np.ndarray:
    logits = predict({"image": pictures(300, 9)["image"][:samples]})[0]
    rows: np.ndarray = (logits.argmax(axis=1) == 0).astype(np.float64)[:, None]
    return rows


def calibrating(_: Task, samples: int) -> Iterator[dict[str, np.ndarray]]:
    yield {"image": pictures(300, 7)["image"][:samples]}


def learning(_: Task) -> TrainingSet:
    return TrainingSet(pictures(300, 8)["image"], np.zeros(300), lambda batch, rng: batch)


def varied(_: Task) -> TrainingSet:
    """Return the same pictures, told by their numbers, with noise."""
    images = pictures(300, 8)["image"]
    return TrainingSet(
        np.arange(300), np.zeros(300), lambda at, rng: images[at] + np.float32(rng.random())
    )


def some_of(places: Any) -> Any:
    return lambda _: places


WORKLOADS: dict[str, tuple[Callable[[], Any], str]] = {
    "no workload": (lambda: Good(), "a perfsuite.Workload was expected, not Good"),
    "name": (lambda: workload(name="my net"), "no spaces"),
    "no inputs": (lambda: workload(task(inputs=lambda *_: {})), "dict of input name"),
    "unseeded": (
        lambda: workload(
            task(inputs=lambda _, batch, seed: {"image": noise(np.zeros((batch, 3)))})
        ),
        "default_rng",
    ),
    "batch last": (
        lambda: workload(task(inputs=lambda _, batch, seed: {"image": np.zeros((3, batch))})),
        "first axis must be the batch",
    ),
    "names change": (
        lambda: workload(task(inputs=lambda _, batch, seed: {f"i{batch}": np.zeros(batch)})),
        "the names must be the same",
    ),
    "no model": (lambda: workload(build=None), "needs either build"),
    "no module": (lambda: workload(build=lambda: 3), "must return a torch.nn.Module, not int"),
    "training mode": (lambda: workload(build=lambda: small_net().train()), "module.eval"),
    "random weights": (lambda: workload(build=random_net), "'0.weight' differs between two builds"),
    "not finite": (lambda: workload(build=broken_net), "NaN or infinite"),
    "stage": (
        lambda: workload(stages=(Stage("head", ("fc",)),)),
        "the model has no module or method 'fc'; known: 0, 1",
    ),
    "stage twice": (
        lambda: workload(stages=(Stage("a", ("0",)), Stage("b", ("0",)))),
        "stages 'a' and 'b' both have the prefix '0'",
    ),
    "too little calibration": (
        lambda: workload(task(calibration=lambda _, samples: iter([pictures(1)]))),
        "yields 1 samples",
    ),
    "other calibration": (
        lambda: workload(
            task(calibration=lambda _, samples: iter([{"x": np.zeros((samples, 3))}]))
        ),
        "names, types and shapes must agree",
    ),
    "training set": (
        lambda: workload(
            task(train=lambda _: TrainingSet(np.zeros((2, 3)), np.zeros(3), lambda b, rng: b))
        ),
        "2 inputs and 3 targets",
    ),
    "rows are flat": (
        lambda: workload(task(rows=lambda _, predict, samples: np.zeros(8))),
        r"float64 array \(samples, columns\)",
    ),
    "rows change": (
        lambda: workload(task(rows=lambda _, predict, samples: noise(np.zeros((8, 1))))),
        "other rows the second time",
    ),
    "too many rows": (
        lambda: workload(task(rows=lambda _, predict, samples: np.zeros((9, 1)))),
        "returns 9 rows",
    ),
    "percent": (
        lambda: workload(task(metric=lambda _, rows: 93.0)),
        "the metric 'top1' is 93.0; it must be a float from 0 to 1",
    ),
    "metrics are a list": (
        lambda: workload(task(metrics=lambda _: [share])),
        "must return a dict of names and functions of the rows, not list",
    ),
    "second metric": (
        lambda: workload(task(metrics=lambda _: {"top1": share, "top5": lambda rows: 5.0})),
        "the metric 'top5' is 5.0",
    ),
    "validation has other rows": (
        lambda: workload(task(validation=lambda _, predict, samples: np.zeros((8, 2)))),
        "rows have 2 columns, those of task.rows 1",
    ),
    "validation changes": (
        lambda: workload(task(validation=lambda _, predict, samples: noise(np.zeros((8, 1))))),
        r"task.validation\(predict, 8\) returns other rows the second time",
    ),
    "validation is a test": (
        lambda: workload(validating(9, rows=right_answers)),
        r"task.validation: 100% of its samples are test samples",
    ),
    "validation calibrates": (
        lambda: workload(validating(7, calibration=calibrating)),
        "100% of its samples are calibration samples",
    ),
    "validation trains": (
        lambda: workload(validating(8, train=learning)),
        r"100% of its samples are training samples that held_out\(\) does not name",
    ),
    "others are held out than answered": (
        lambda: workload(validating(8, train=learning, held_out=some_of(np.arange(250, 300)))),
        r"100% of its samples are training samples that held_out\(\) does not name",
    ),
    "what is held out is not there": (
        lambda: workload(validating(8, train=learning, held_out=some_of(np.array([300])))),
        r"task.held_out\(\) names the training samples 300 to 300, and there are 300",
    ),
    "all is held out": (
        lambda: workload(validating(8, train=learning, held_out=some_of(np.arange(300)))),
        "names all 300 training samples",
    ),
    "held out twice": (
        lambda: workload(validating(8, train=learning, held_out=some_of(np.array([1, 1])))),
        "must name training samples, each once",
    ),
    "a mask is held out": (
        lambda: workload(validating(8, train=learning, held_out=some_of(np.arange(300) < 30))),
        r"of a mask take numpy.flatnonzero\(mask\)",
    ),
    "nothing to hold out of": (
        lambda: workload(validating(8, train=Task.train, held_out=some_of(np.arange(3)))),
        r"held_out\(\) names training samples, and task.train\(\) has none",
    ),
    "metric of a subset": (
        lambda: workload(task(metrics=lambda _: {"some": SubsetMetric(0, lambda rows: 5.0)})),
        "the metric 'some' is 5.0",
    ),
    "preprocessing": (
        lambda: workload(task(preprocessing=lambda _: Preprocessing(3, 3, input="image"))),
        r"its preprocessing\(\) gives 'image' as float32 \(3, 3, 3\) for each sample, and",
    ),
}


def test_a_good_workload_passes() -> None:
    stages = (Stage("first", ("0", "1")), Stage("head", ("7",)))
    with pytest.warns(UserWarning, match=r"tells its data by no fingerprint\(\)"):
        check_workload(workload(stages=stages))
    with warnings.catch_warnings(action="error"):
        check_workload(workload(task(fingerprint=lambda _: "seeded"), stages=stages))


def test_good_validation_samples_pass() -> None:
    check_workload(workload(validating(10)))
    check_workload(workload(validating(10, train=learning, held_out=some_of(np.arange(30)))))
    check_workload(workload(validating(8, train=varied, held_out=some_of(np.arange(299)))))


def said(given: Workload) -> str:
    """Return what `check_workload` warns of."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        check_workload(given)
    return "\n".join(str(one.message) for one in told)


def net_of(layer: str) -> Callable[[], Any]:
    """Return what builds a net with weights that torch draws without a seed."""

    def build() -> Any:
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv = nn.Conv2d(3, 4, 3)

            def forward(self, image: Any) -> Any:
                means = self.conv(image).mean((-2, -1))
                if layer == "branch" and means.max() > 100:
                    means = means * 2
                return means.reshape(1, 4) if layer == "single" else means

        return Net().eval()

    return build


def of_sizes(*sizes: int) -> Batches:
    drawn = np.random.default_rng(0)
    return Batches([drawn.random((4, 3, 8, size), np.float32) for size in sizes])


def test_weights_that_torch_draws_are_alike_as_in_a_run() -> None:
    assert said(Workload("net", Model(net_of("plain")), of_sizes(8, 8))) == ""


def test_a_model_of_one_sample_is_asked_for_one() -> None:
    pictures = np.random.default_rng(0).random((8, 3, 8, 8), np.float32)
    task = Batches([(pictures, np.arange(8) % 4)])
    assert said(Workload("net", Model(net_of("single"), batch=1), task)) == ""


def test_a_model_whose_inputs_count_no_samples_passes() -> None:
    one = {"inputs": lambda _, batch, seed: {"image": pictures(1, seed)["image"][0]}}
    lone: Task = type("Lone", (Task,), one)()
    told = "not all of its outputs have one row a sample"
    assert told in said(Workload("net", Model(net_of("plain"), batch=1), lone))
    with pytest.raises(AssertionError, match=r"no such axis is a Model\(build, batch=1\)"):
        check_workload(Workload("net", Model(net_of("plain")), lone))


def test_a_branch_on_values_and_what_results_say_is_told() -> None:
    assert "reads values of its input in Python" in said(
        Workload("net", Model(net_of("branch")), of_sizes(8, 8))
    )
    image = np.random.default_rng(0).random((8, 3, 8, 8), np.float32)
    shares = Batches([(image, np.eye(8, dtype=np.float32))])
    assert "targets unused" in said(Workload("net", Model(net_of("plain")), shares))


def test_samples_of_several_sizes_are_told_for_a_module() -> None:
    told = said(Workload("net", Model(net_of("plain")), of_sizes(8, 12, 8, 12)))
    assert "only the runtime pytorch answers all" in told


def test_a_module_with_batches_passes() -> None:
    batch = pictures(8, 0)["image"]
    net = small_net().train()
    check_workload(Workload("net", net, [(batch, np.zeros(8, int))]))
    assert net.training
    train = [(pictures(40, 1)["image"], np.arange(40) % 5)]
    check_workload(Workload("net", net, Batches([(batch, np.zeros(8, int))], train_loader=train)))


def test_a_metric_about_none_of_the_samples_that_are_tried_passes() -> None:
    def rows(_: Task, predict: Any, samples: int) -> np.ndarray:
        return np.zeros((samples, 1))

    check_workload(workload(task(metrics=lambda _: {"some": SubsetMetric(0, share)}, rows=rows)))


@pytest.mark.parametrize("case", WORKLOADS)
def test_workload(case: str) -> None:
    make, message = WORKLOADS[case]
    with pytest.raises(AssertionError, match=message):
        check_workload(make())


def test_a_workload_without_labels_passes() -> None:
    class Timed(Task):
        def inputs(self, batch: int, seed: int) -> dict[str, np.ndarray]:
            return pictures(batch, seed)

    check_workload(workload(Timed()))


def test_an_onnx_file_whose_inputs_are_of_other_sides(tmp_path: Path) -> None:
    class Steps(Task):
        def inputs(self, batch: int, seed: int) -> dict[str, np.ndarray]:
            return {"x": np.random.default_rng(seed).random((7, batch, 4), np.float32)}

    path = steps_first(tmp_path / "net.onnx", ("?", "?", 4))
    with pytest.raises(AssertionError, match=r"'x' the shape \(7, 2, 4\) for a batch of 2, and"):
        check_workload(Workload("steps", Model(onnx=path), Steps()))
    told = (InputSpec("x", "float32", (7, "batch", 4)),)
    check_workload(Workload("steps", Model(onnx=path, inputs=told), Steps()))


@pytest.mark.parametrize("kind", ["made up", "sizes", "steps", "once"])
def test_plain_onnx_files_pass(tmp_path: Path, kind: str) -> None:
    def normal(*shape: int) -> np.ndarray:
        return np.random.default_rng(0).normal(size=shape).astype(np.float32)

    path, samples = tmp_path / "net.onnx", tmp_path / "s.npz"
    if kind == "made up":
        check_workload(onnx_workload(segmenter(path), shapes={"x": (1, 3, 8, 8)}))
        return
    if kind == "sizes":
        segmenter(path)
        np.savez(samples, **{f"x/{i}": normal(3, 8, 8 + i % 2) for i in range(12)})  # type: ignore[arg-type]
    elif kind == "steps":
        steps_first(path)
        np.savez(samples, x=normal(12, 7, 4))
    else:
        thresholded(path, (1, 3, 4, 4))
        once = {"iou": normal(1), "scale": np.float32(1)}
        np.savez(samples, x=normal(20, 3, 4, 4), labels=np.arange(20) % 3, **once)  # type: ignore[arg-type]
    check_workload(onnx_workload(path, samples))


def test_a_file_has_as_many_samples_as_it_has(tmp_path: Path) -> None:
    path, samples = without_batch(tmp_path / "net.onnx"), tmp_path / "s.npz"
    np.savez(samples, x=np.random.default_rng(0).normal(size=(5, 3, 6, 8)).astype(np.float32))
    check_workload(onnx_workload(path, samples))

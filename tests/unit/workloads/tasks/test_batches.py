"""The task of a data loader: which samples, in which order, with which labels."""

from __future__ import annotations

import random

import numpy as np
import pytest

import perfsuite
from perfsuite import ConfigError
from perfsuite.workloads.checked import checked
from perfsuite.workloads.tasks.batches import UNUSED, Batches

PICTURES = np.arange(10, dtype=np.float32).reshape(10, 1)
LABELS = np.arange(10) % 2


def in_batches(*arrays: np.ndarray, size: int = 3) -> list:
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(arrays[0]), size)]


def echo(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Answer class 1 for all samples above 5."""
    high = (inputs["x"][:, 0] > 5).astype(np.float32)
    return [np.stack([1 - high, high], axis=1)]


def values(batches: object) -> list[float]:
    return [float(v) for batch in batches for v in batch["x"][:, 0]]


def test_every_second_sample_is_for_testing_and_the_others_for_calibration() -> None:
    task = Batches(in_batches(PICTURES, LABELS))
    assert values(task.calibration(100)) == [1, 3, 5, 7, 9]
    assert task.rows(echo)[:, 2].tolist() == [0, 0, 0, 0, 0]  # the labels of 0, 2, 4, 6, 8
    assert task.rows(echo)[:, 0].tolist() == [1, 1, 1, 0, 0]
    assert values(task.calibration(2)) == [1, 3]


def test_with_a_loader_for_calibration_all_samples_are_for_testing() -> None:
    task = Batches(in_batches(PICTURES, LABELS), in_batches(PICTURES + 100, LABELS))
    assert values(task.calibration(3)) == [100, 101, 102]
    assert len(task.rows(echo)) == 10
    assert len(task.rows(echo, 4)) == 4
    assert task.metric_name == "" and list(task.metrics()) == ["top1"]
    assert task.metrics()["top1"](task.rows(echo)) == 0.5


def test_inputs_are_test_samples_by_seed() -> None:
    task = Batches(in_batches(PICTURES, LABELS))
    found = task.inputs(32, 1)["x"]
    assert found.shape == (32, 1) and set(found[:, 0]) <= {0, 2, 4, 6, 8}
    assert np.array_equal(found, task.inputs(32, 1)["x"])
    assert not np.array_equal(found, task.inputs(32, 2)["x"])


def test_batches_may_be_arrays_tensors_or_dicts() -> None:
    torch = pytest.importorskip("torch")
    assert list(Batches([PICTURES]).inputs(1, 0)) == ["x"]
    assert Batches([PICTURES]).metrics() == {}
    named = Batches([{"image": torch.from_numpy(PICTURES), "labels": torch.from_numpy(LABELS)}])
    assert list(named.inputs(1, 0)) == ["image"] and list(named.metrics()) == ["top1"]
    two = Batches([(PICTURES, PICTURES, LABELS)])
    assert list(two.inputs(1, 0)) == ["x0", "x1"]
    unsaid = Batches([(PICTURES, LABELS)], targets=False)
    assert list(unsaid.inputs(1, 0)) == ["x0", "x1"] and unsaid.metrics() == {}


def test_targets_that_are_no_classes_are_said_to_be_unused() -> None:
    masks = np.zeros((10, 4, 4), np.int64)
    assert Batches([(PICTURES, masks)]).labels == (UNUSED,)
    assert Batches([(PICTURES, LABELS)]).labels == ()
    assert Batches([PICTURES]).labels == ()


def test_a_loader_that_shuffles_gives_each_job_the_same_and_disturbs_nobody() -> None:
    class Shuffling:
        def __iter__(self):
            order = list(range(10))
            random.shuffle(order)
            for start in range(0, 10, 5):
                yield PICTURES[order[start : start + 5]] + np.random.rand()

    random.seed(7)
    wanted = random.random()
    random.seed(7)
    first, second = Batches(Shuffling()), Batches(Shuffling())
    assert values(first.calibration(10)) == values(second.calibration(10))
    assert first.fingerprint() == second.fingerprint()
    assert random.random() == wanted


def test_a_loader_that_cannot_be_read_twice_alike_is_refused() -> None:
    count = iter(range(1000))

    class Drifting:
        def __iter__(self):
            yield PICTURES + next(count)

    with pytest.raises(ConfigError, match="other samples the second time"):
        Batches(Drifting()).fingerprint()
    with pytest.raises(ConfigError, match="gives its batches once"):
        Batches(one for one in [PICTURES]).inputs(1, 0)
    with pytest.raises(ConfigError, match="gives no batch"):
        Batches([]).inputs(1, 0)


def test_what_is_no_array_is_named() -> None:
    with pytest.raises(ConfigError, match="as 'x': arrays or tensors of numbers"):
        Batches([("abc", LABELS)]).inputs(1, 0)
    with pytest.raises(ConfigError, match="all of the same length"):
        Batches([{"a": PICTURES, "b": PICTURES[:3]}]).inputs(1, 0)
    for label in (1, np.int64(1), np.array(1)):
        with pytest.raises(ConfigError, match="a data set gives samples, not batches"):
            Batches([(PICTURES, label)]).inputs(1, 0)


def test_targets_must_be_as_many_and_may_be_a_column() -> None:
    with pytest.raises(ConfigError, match="10 samples and 9 targets"):
        Batches([(PICTURES, LABELS[:9])]).metrics()
    assert list(Batches([(PICTURES, LABELS[:, None])]).metrics()) == ["top1"]
    assert list(Batches([{"x": PICTURES, "label": LABELS}]).metrics()) == ["top1"]


def test_a_workload_may_be_a_module_and_a_loader() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(1, 2)
    found = checked(perfsuite.Workload("net", net, in_batches(PICTURES, LABELS)))
    built = found.model.build()
    with torch.no_grad():
        built.weight.zero_()
    assert net.weight.abs().sum() > 0, "a pass would change the module that the user holds"
    assert torch.equal(found.model.build().weight, net.weight)
    assert list(found.task.metrics()) == ["top1"]


def test_a_build_that_gives_one_module_each_time_is_not_changed_either() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(1, 2)
    found = checked(perfsuite.Workload("net", perfsuite.Model(lambda: net), Batches([PICTURES])))
    assert found.model.build() is not net
    fresh = checked(
        perfsuite.Workload(
            "net", perfsuite.Model(lambda: torch.nn.Linear(1, 2)), Batches([PICTURES])
        )
    )
    assert fresh.model.build() is not fresh.model.build()


def test_one_array_is_no_loader() -> None:
    torch = pytest.importorskip("torch")
    for array in (PICTURES, torch.from_numpy(PICTURES)):
        with pytest.raises(ConfigError, match=r"it is one array, .* such as \[array\]"):
            Batches(array).inputs(1, 0)

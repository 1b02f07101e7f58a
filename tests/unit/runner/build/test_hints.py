"""What a workload's author is told that he can do: of labels, and of a batch that is fixed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import Model
from perfsuite.domain.task import Inputs, Task, TrainingSet
from perfsuite.domain.workload import Workload
from perfsuite.errors import BuildError, ConfigError
from perfsuite.runner.build.hints import training_set, with_batch_hint

torch = pytest.importorskip("torch")


class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Gives four scores; `how` may change the features before."""

    def __init__(self, how: Callable[[Any], Any] = lambda x: x) -> None:
        super().__init__()
        self.how, self.fc = how, torch.nn.Linear(3, 4)

    def forward(self, x: Any) -> Any:
        return self.fc(self.how(x))


class Points(Task):
    def __init__(self, targets: Any = (0, 1), loss: Any = None) -> None:
        self.targets, self.loss = np.asarray(targets), loss

    def inputs(self, batch: int, seed: int) -> Inputs:
        return {"x": np.zeros((batch, 3), np.float32)}

    def train(self) -> TrainingSet:
        points = np.zeros((len(self.targets), 3), np.float32)
        return TrainingSet(points, self.targets, lambda batch, rng: batch, self.loss)


def workload(how: Callable[[Any], Any] = lambda x: x, **task: Any) -> Workload:
    return Workload("net", Model(lambda: Net(how)), Points(**task))


def test_labels_are_told_before_a_pass_trains() -> None:
    assert len(training_set(workload()).inputs) == 2
    with pytest.raises(ConfigError) as caught:
        training_set(workload(targets=[1, 4]))
    assert str(caught.value) == (
        "net: the targets of its training set: there is a label 4, but the model's first output "
        "has 4 classes: labels run from 0 to 3; they seem to be counted from 1: subtract 1"
    )


def test_a_loss_of_its_own_has_targets_of_its_own() -> None:
    given = training_set(workload(targets=[[0.5], [9.0]], loss=lambda module, x, y: x.sum()))
    assert given.loss is not None


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
def test_a_batch_that_is_fixed_inside_is_to_be_declared(batch: int) -> None:
    failed = BuildError("its forward failed")
    told = with_batch_hint(workload(lambda x: x.reshape(batch, 3)), failed)
    assert type(told) is BuildError
    assert str(told) == (
        f"its forward failed; of several batch sizes that were tried the model takes {batch} "
        f"alone: if that is meant, declare it, Model(build, batch={batch}), and ask for batches = "
        f"[{batch}]"
    )


def broken(x: Any) -> Any:
    raise RuntimeError


@pytest.mark.parametrize("how", [lambda x: x, broken, lambda x: x.reshape(7, 3)])
def test_what_is_no_fault_of_the_batch_is_not_told_as_that(how: Callable[[Any], Any]) -> None:
    failed = BuildError("its forward failed")
    assert with_batch_hint(workload(how), failed) is failed


def test_what_is_declared_needs_no_hint() -> None:
    failed = BuildError("its forward failed")
    declared = Workload("net", Model(lambda: Net(lambda x: x.reshape(1, 3)), batch=1), Points())
    assert with_batch_hint(declared, failed) is failed
    unbuilt = Workload("net", Model(lambda: (_ for _ in ()).throw(BuildError("no"))), Points())
    assert with_batch_hint(unbuilt, failed) is failed

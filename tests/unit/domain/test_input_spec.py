"""What a workload's inputs are, as far as the shapes of its samples tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite.domain.model import InputSpec, Model
from perfsuite.domain.task import Inputs, Task
from perfsuite.domain.workload import Workload
from perfsuite.export import onnx
from perfsuite.runtimes.shared.base import fixed_batch


class Points(Task):
    """Of each sample four points; a weight for each of them is the same for all samples."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole  # whether the first side of points counts samples

    def inputs(self, batch: int, seed: int) -> Inputs:
        points = np.ones((batch, 4, 3) if self.whole else (4, 3), np.float32)
        return {"points": points, "weights": np.ones(4, np.float32)}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, points: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(points) * weights[:, None]
        return found


@pytest.mark.parametrize(
    ("batch", "whole", "shape", "per_call"),
    [
        (None, True, ("batch", 4, 3), (False, True)),
        (1, True, (1, 4, 3), (False, True)),
        (1, False, (4, 3), (True, True)),
    ],
)
def test_what_begins_with_another_length_than_the_batch_is_given_once(
    batch: int | None, whole: bool, shape: tuple[int | str, ...], per_call: tuple[bool, ...]
) -> None:
    spec = Workload("net", Model(Net, batch=batch), Points(whole=whole)).input_spec()
    assert spec == (
        InputSpec("points", "float32", shape, per_call[0]),
        InputSpec("weights", "float32", (4,), per_call[1]),
    )


def test_a_graph_without_a_batch_is_not_asked_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("the other exporter is faster")

    monkeypatch.setattr(onnx, "_dynamo", refuse)
    workload = Workload("net", Model(Net, batch=1), Points(whole=False))
    spec, file = workload.input_spec(), tmp_path / "g.onnx"
    with pytest.warns(UserWarning, match="the other exporter is faster"):
        onnx.export_graph(Net(), spec, workload.task.inputs(1, 0), file)
    found, _ = onnx.graph_spec(onnx.load_graph(file))
    assert found == spec
    fixed_batch(found, 1)  # raises where an input's first side is another fixed number

"""The inputs of a model's pieces, of which the whole model makes as few calls as there is room."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.export.piece_inputs import PieceInputs
from perfsuite.export.pieces import Piece

TENSOR = ["list", [["list", [["tensor"]]], ["dict", {}]]]  # one argument, and none by name


def piece(path: str) -> Piece:
    spec = (InputSpec("input0", "float32", ("side0", 2)),)
    return Piece(path, f"{path}.onnx", spec, ("y",), TENSOR, ["tensor"])


@pytest.fixture
def net() -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.head = nn.Identity(), nn.Identity()
            self.calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            self.head(torch.zeros(1, 2))
            return self.head(self.stem(x) * 2)

    return Net().eval()


def sample(value: float) -> dict[str, np.ndarray]:
    return {"x": np.full((1, 2), value, np.float32)}


def values(found: PieceInputs, one: Piece, *samples: float) -> list[float]:
    return [float(each["input0"][0, 0]) for each in found.of(one, map(sample, samples))]


def test_a_sample_is_answered_once_for_all_pieces_and_readings(net: Any) -> None:
    stem, head = piece("stem"), piece("head")
    found = PieceInputs(net, [stem, head])
    assert values(found, stem, 1.0, 2.0) == [1.0, 2.0]
    assert values(found, head, 1.0, 2.0, 1.0) == [0.0, 2.0, 0.0, 4.0, 0.0, 2.0]
    assert net.calls == 2
    assert not net.stem._forward_pre_hooks and not net.head._forward_pre_hooks


def test_what_there_is_no_room_for_is_answered_again(net: Any) -> None:
    stem, head = piece("stem"), piece("head")
    found = PieceInputs(net, [stem, head], most_bytes=3 * 8)  # of one sample
    for _ in range(2):
        assert values(found, head, 1.0, 2.0) == [0.0, 2.0, 0.0, 4.0]
    assert net.calls == 3


def test_calls_of_another_structure_are_left_out(net: Any) -> None:
    two = Piece("head", "g", piece("head").inputs, ("y",), ["list", []], ["tensor"])
    assert values(PieceInputs(net, [two]), two, 1.0) == []

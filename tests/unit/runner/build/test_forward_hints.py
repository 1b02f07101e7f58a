"""What is said where a module's forward fails on the types of what it is given."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.runner.build.forward_hints import forward_hint

torch = pytest.importorskip("torch")


@pytest.mark.parametrize(("kind", "scaled"), [("float64", False), ("uint8", True)])
def test_pictures_of_another_type_are_to_be_converted(kind: str, scaled: bool) -> None:
    hint = forward_hint(torch.nn.Conv2d(3, 4, 3), {"x": np.ones((1, 3, 8, 8), kind)})
    assert f"inputs() gives {kind} where it takes float32: give x.astype(numpy.float32)" in hint
    assert ("scaled as in training" in hint) == scaled


def test_their_type_is_not_blamed_for_another_mistake() -> None:
    assert forward_hint(torch.nn.Conv2d(3, 4, 3), {"x": np.ones((1, 5, 8, 8), np.uint8)}) == ""


def test_channels_that_stand_last_are_to_be_moved() -> None:
    net = torch.nn.Conv2d(3, 4, 3)
    assert forward_hint(net, {"x": np.ones((1, 8, 8, 3), np.float32)}) == (
        "inputs() gives pictures with their channels last, where it takes these before height and "
        "width: give x.transpose(0, 3, 1, 2)"
    )
    both = forward_hint(net, {"x": np.ones((1, 8, 8, 3), np.uint8)})
    assert "x.transpose(0, 3, 1, 2); and inputs() gives uint8 where it takes float32" in both
    assert forward_hint(net, {"x": np.ones((1, 8, 8, 4), np.float32)}) == ""


def test_an_input_too_few_is_told_with_where_a_loader_has_left_it() -> None:
    class Pairs(torch.nn.Module):
        def forward(self, first, second):
            return first - second

    hint = forward_hint(Pairs(), {"x": np.ones((1, 2), np.float32)})
    assert hint.startswith("forward takes 2 inputs (first, second), and inputs() gives x (")
    assert "Batches(loader, targets=False)" in hint

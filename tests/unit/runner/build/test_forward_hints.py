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

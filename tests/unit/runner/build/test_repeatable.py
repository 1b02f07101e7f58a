"""A module that answers by chance is told as that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from perfsuite.errors import BuildError  # noqa: E402
from perfsuite.runner.build.repeatable import check_repeatable  # noqa: E402

GIVEN = {"x": np.ones((2, 3), np.float32)}


class Dropping(nn.Module):
    def forward(self, x: Any) -> Any:
        return x, nn.functional.dropout(x.expand(64, 2, 3))


class Stuck(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def train(self, mode: bool = True) -> Any:
        return super().train(True)

    def forward(self, x: Any) -> Any:
        return self.drop(x.expand(64, 2, 3))


class Remembering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Any) -> Any:
        self.seen += 1
        return x * self.seen


class Counting(Remembering):
    def forward(self, x: Any) -> Any:
        self.seen += 1
        self.last = x
        return x * 2


class Listing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.history: list[Any] = []

    def forward(self, x: Any) -> Any:
        self.history.append(x)
        return x * len(self.history)


class Anchored(nn.Module):
    """A detector's head: anchors are made anew only for another shape."""

    def __init__(self) -> None:
        super().__init__()
        self.shape, self.anchors = None, torch.empty(0)

    def forward(self, x: Any) -> Any:
        if self.shape != x.shape:
            self.shape, self.anchors = x.shape, torch.arange(float(x.shape[1]))
        return x + self.anchors


class AnchoredByChance(Anchored):
    def forward(self, x: Any) -> Any:
        return super().forward(x) + torch.rand(2, 3)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Listing, "its forward changes 'history', which the next call reads"),
        (AnchoredByChance, "answers by chance"),
        (Dropping, "answers by chance: .* output 1 of 2 differs.*training=self.training"),
        (Stuck, "'drop' is still in training mode after eval"),
        (Remembering, "its forward changes 'seen', which the next call reads"),
    ],
)
def test_other_answers_are_told_with_their_cause(kind: type[nn.Module], words: str) -> None:
    with pytest.raises(BuildError, match=words):
        check_repeatable(kind(), GIVEN)


def test_a_state_that_no_answer_depends_on_is_put_back() -> None:
    module = Counting()
    assert check_repeatable(module, GIVEN)[0].tolist() == [[2.0] * 3] * 2
    assert module.seen.item() == 0.0


def test_what_belongs_together_is_put_back_together() -> None:
    module = Anchored()
    for _ in range(2):
        assert check_repeatable(module, GIVEN)[0].tolist() == [[1.0, 2.0, 3.0]] * 2
        assert module.shape is None
        assert module.anchors.numel() == 0


def test_nan_is_no_chance() -> None:
    check_repeatable(nn.Identity(), {"x": np.full((1, 2), np.nan, np.float32)})

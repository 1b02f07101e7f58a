"""Which nets read values of their input in Python, and which its sizes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from perfsuite.export.value_reads import reads_values  # noqa: E402


class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Keeps what it has made for a size, as detectors keep their grids."""

    def __init__(self, forward: Callable[[Any], Any]) -> None:
        super().__init__()
        self.own, self.grid = forward, torch.empty(0)
        self.register_buffer("strides", torch.tensor([8.0, 16.0]))

    def forward(self, x: Any) -> Any:
        if self.grid.shape != x.shape:
            self.grid = torch.cat([torch.full(x.shape, float(one)) for one in self.strides])
        return self.own(x * 2)


def written(x: Any) -> Any:
    """Read a number back that was written into a part of another tensor."""
    kept = torch.zeros(4, 3)
    kept[1:3].copy_(x)
    return x * float(kept[2, 0])


READ: dict[str, Callable[[Any], Any]] = {
    "branch": lambda x: x if x.max() > 0 else -x,
    "number": lambda x: x * int(x.sum()),
    "index": lambda x: x[:, x[0].argmax() :],
    "mask": lambda x: x[x > 0],
    "places": lambda x: x[:, : len((x > 0).nonzero())],
    "written": written,
}
SIZES: dict[str, Callable[[Any], Any]] = {
    "branch": lambda x: x if x.shape[-1] % 2 else -x,
    "loop": lambda x: torch.stack([one * 2 for one in x]),
    "integers": lambda x: x[:, torch.tensor([0, 2])],
    "constant": lambda x: x * float(torch.tensor([3.0, 4.0]).max()),
}


@pytest.mark.parametrize("kind", READ)
def test_values_that_are_read(kind: str) -> None:
    assert reads_values(Net(READ[kind]), [torch.ones(2, 3)])


@pytest.mark.parametrize("kind", SIZES)
def test_sizes_alone(kind: str) -> None:
    assert not reads_values(Net(SIZES[kind]), [torch.ones(2, 3)])


def test_what_cannot_be_followed_is_not_known() -> None:
    def refuse(x: Any) -> Any:
        raise RuntimeError("not here")

    assert reads_values(Net(refuse), [torch.ones(2, 3)]) is None

"""What a module computes with beside its state: every part of it tells models apart."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from perfsuite.runner.build.identity import unstored_parts  # noqa: E402


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.names, self.width = nn.LSTM(2, 2), ["a", "b"], 3


class Hiding(Net):
    def state_dict(self, *given: Any, **named: Any) -> Any:
        return {"names": torch.ones(1)}


def parts(change: Callable[[Any], object], kind: type[nn.Module] = Net) -> list[str | bytes]:
    torch.manual_seed(0)
    net = kind()
    change(net)
    return list(unstored_parts(net))


def inner(value: float) -> nn.Module:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, value)
    nn.init.zeros_(layer.bias)
    return layer


SETTERS: dict[str, Callable[[Any, float], object]] = {
    "buffer": lambda net, v: net.register_buffer("b", torch.full((2,), v), persistent=False),
    "tensor": lambda net, v: setattr(net, "scale", torch.tensor(v)),
    "array": lambda net, v: setattr(net, "scale", np.full(3, v)),
    "number": lambda net, v: setattr(net, "scale", np.float32(v)),
    "list": lambda net, v: setattr(net, "anchors", [torch.full((2,), v), None]),
    "settings": lambda net, v: setattr(net, "settings", {"alpha": {"beta": v}, "f": print}),
    "record": lambda net, v: setattr(net, "settings", Namespace(alpha=v)),
    "hidden net": lambda net, v: setattr(net, "tower", [inner(v)]),
    "part": lambda net, v: setattr(net, "part", _with(v)),
}


def _with(value: float) -> nn.Module:
    part = Net()
    part.scale = torch.tensor(value)  # type: ignore[assignment]
    return part


@pytest.mark.parametrize("name", SETTERS)
def test_what_no_state_dict_has_tells_models_apart(name: str) -> None:
    change = SETTERS[name]
    one, again, other = (parts(lambda net, v=v: change(net, v)) for v in (1.0, 1.0, 2.0))
    assert one == again != other


def test_weights_that_a_state_dict_leaves_out_count() -> None:
    one, other = (parts(lambda net, v=v: nn.init.constant_(net.layer.weight_ih_l0, v), Hiding)
                  for v in (1.0, 2.0))  # fmt: skip
    assert one != other


def test_keys_of_nets_without_such_are_what_they_were() -> None:
    """Nor does it count what says nothing of its values, or nothing more."""

    def change(net: Any) -> None:
        net.register_buffer("stored", torch.ones(2))
        net.same, net.parts, net.itself = net.layer.weight_ih_l0, [net.layer], [net]
        net.made, net.objects = print, np.array([object()])
        net.unknown = torch.empty(2, device="meta")

    assert parts(change) == []

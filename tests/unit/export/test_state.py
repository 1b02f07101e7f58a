"""States of modules for which NumPy has no types, and what is beside the tensors."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from perfsuite.errors import ConfigError, Unsupported  # noqa: E402
from perfsuite.export.state import (  # noqa: E402
    as_arrays,
    check_loaded,
    duplicate,
    from_arrays,
    load,
    state_parts,
    storable,
)


class Odd(nn.Module):
    """Complex, 16-bit, 8-bit and tied tensors, and names of classes beside them."""

    def __init__(self, classes: str = "cat") -> None:
        super().__init__()
        self.one, self.same = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.same.weight = self.one.weight
        self.sixteen = nn.Parameter(torch.randn(4).to(torch.bfloat16))
        self.register_buffer("turn", torch.randn(2, 2, dtype=torch.complex64))
        self.register_buffer("small", torch.randn(4).to(torch.float8_e4m3fn))
        self.register_buffer("count", torch.tensor(3))
        self.classes = classes

    def get_extra_state(self) -> Any:
        return {"classes": [self.classes]}

    def set_extra_state(self, state: Any) -> None:
        self.classes = state["classes"][0]


def quantized() -> nn.Module:
    made: nn.Module = torch.ao.quantization.quantize_dynamic(
        nn.Sequential(nn.Linear(4, 4)), {nn.Linear}, dtype=torch.qint8
    )
    return made


def sparse() -> nn.Module:
    module = nn.Module()
    module.register_buffer("s", torch.randn(3, 3).relu().to_sparse())
    return module


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return make()


@pytest.mark.parametrize("make", [Odd, quantized, sparse, lambda: nn.LSTM(2, 2)])
@pytest.mark.filterwarnings("ignore")
def test_a_key_follows_from_every_state(make: Callable[[], nn.Module]) -> None:
    parts = list(state_parts(seeded(make)))
    assert parts == list(state_parts(seeded(make)))
    assert parts != list(state_parts(seeded(make, 1)))


def test_a_key_follows_from_what_is_beside_the_tensors() -> None:
    one, other = seeded(Odd), seeded(lambda: Odd("dog"))
    assert list(state_parts(one)) != list(state_parts(other))


def test_plain_states_have_the_bytes_that_they_had() -> None:
    """Keys of what was trained for hours must stay the same."""
    module = seeded(lambda: nn.Linear(2, 1))
    expected = [
        item
        for name, tensor in sorted(module.state_dict().items())
        for item in (name, "torch.float32", tensor.numpy().tobytes())
    ]
    assert list(state_parts(module)) == expected


def bits(module: nn.Module) -> list[str | bytes]:
    return list(state_parts(module))


def test_arrays_and_files_hold_all_types_and_tied_weights_once() -> None:
    module = seeded(Odd)
    assert all(array.dtype.kind in "fi" for array in as_arrays(module).values())
    assert "same.weight" not in storable(module)
    for seed, tensors in (
        (1, lambda fresh: storable(module)),
        (2, lambda fresh: from_arrays(fresh, as_arrays(module))),
    ):
        fresh = seeded(Odd, seed)
        load(fresh, tensors(fresh))
        assert bits(fresh) == bits(module)


class Versioned(nn.Module):
    """Takes a state without a version for one of an older layout, as MNASNet does."""

    _version = 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def _load_from_state_dict(self, state: Any, prefix: str, local: Any, *rest: Any) -> None:
        if local.get("version") != 2:
            raise ValueError("a state of another version")
        super()._load_from_state_dict(state, prefix, local, *rest)


def test_the_version_of_a_layout_is_kept() -> None:
    module = Versioned()
    load(module, {"weight": torch.tensor([3.0, 4.0])})
    assert module.weight.tolist() == [3.0, 4.0]


def test_what_does_not_fit_is_not_loaded() -> None:
    for tensors in (
        {},
        {"weight": torch.ones(3)},
        {"weight": torch.ones(2), "more": torch.ones(1)},
    ):
        with pytest.raises(RuntimeError):
            load(Versioned(), tensors)


def test_weights_that_no_array_can_hold_are_told() -> None:
    module = nn.Module()
    module.weight = nn.Parameter(torch.eye(2).to_sparse())
    with pytest.raises(Unsupported, match=r"'weight' is a tensor in the layout torch\.sparse_coo"):
        as_arrays(module)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.LazyLinear(3), "is lazy, .* call the module once in build"),
        (lambda: nn.Linear(2, 2, device="meta"), "on the meta device"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_weights_that_are_not_there_are_told(make: Callable[[], nn.Module], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_loaded(make(), "net: its build()")


def test_arrays_are_copies() -> None:
    module = nn.Linear(2, 2)
    as_arrays(module)["weight"][:] = np.nan
    assert bool(module.weight.isfinite().all())


def test_a_net_that_remembers_features_is_copied_and_stays_as_it_is() -> None:
    net = nn.Linear(2, 2)
    net.last = net(torch.ones(1, 2))  # type: ignore[assignment]
    net.features = {"all": [net.last * 2]}  # type: ignore[assignment]
    net.register_buffer("mean", net.last.mean())
    copied: Any = duplicate(net)
    assert net.last.grad_fn is not None and net.mean.grad_fn is not None
    assert copied.last.grad_fn is None and copied.last is not net.last
    assert torch.equal(copied.features["all"][0], net.last * 2)
    assert copied.mean == net.mean and torch.equal(copied.weight, net.weight)


class Watching(nn.Module):
    """Stores features of its layers in itself, by functions that refer to it in many ways."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(5))
        self.seen: dict[int, Any] = {}
        self.scale = nn.Parameter(torch.ones(1))

        def keep(place: int, layer: Any, given: Any, answer: Any) -> None:
            self.seen[place] = answer

        def nested(*given: Any) -> None:
            keep(1, *given)

        def default(*given: Any, net: Any = self, seen: Any = self.seen) -> None:
            seen[2] = given[-1] * net.scale

        def named(*given: Any, nets: Any = (self,)) -> None:
            nets[0].seen[3] = given[-1]

        back, scale = weakref.ref(self), self.scale

        def weakly(*given: Any) -> None:
            found = back()
            assert found is not None
            found.seen[4] = given[-1] * scale

        hooks = (partial(keep, 0), nested, default, named, weakly)
        for layer, hook in zip(self.layers, hooks, strict=True):
            layer.register_forward_hook(hook)
        self.twice = [lambda x: self.layers[4](x) * 2]
        self.plain = torch.nn.functional.relu

    def forward(self, x: Any) -> list[Any]:
        y = self.plain(self.twice[0](sum(layer(x) for layer in self.layers)))
        return [y, *(self.seen[place] for place in range(5))]


def test_what_hooks_remember_in_a_net_they_remember_in_its_copy() -> None:
    net, x, y = seeded(Watching), torch.ones(2, 3), torch.zeros(2, 3)
    copied: Any = duplicate(net)
    own = net(x)
    with torch.no_grad():
        for value in copied.parameters():
            value.mul_(2)
    made = copied(y)
    doubled = seeded(Watching)
    with torch.no_grad():
        for value in doubled.parameters():
            value.mul_(2)
    assert all(torch.equal(a, b) for a, b in zip(made, doubled(y), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(own, net(x), strict=True))
    assert all(torch.equal(net.seen[place], one) for place, one in enumerate(own[1:]))
    assert copied.plain is torch.nn.functional.relu


def test_a_forward_that_is_a_function_calls_the_copy_that_it_is_in() -> None:
    net: Any = seeded(lambda: nn.Linear(3, 3))
    before = net.forward

    def forward(x: Any, depth: int = 1) -> Any:
        return before(x) if depth == 0 else forward(x, depth - 1) + net.bias

    net.forward = forward
    copied, x = duplicate(net), torch.ones(2, 3)
    expected = net(x)
    with torch.no_grad():
        for value in copied.parameters():
            value.mul_(2)
    assert torch.allclose(copied(x), expected * 2) and torch.equal(net(x), expected)

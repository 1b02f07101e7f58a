"""What a net's own data flow says: its first and last layers, and the shortcuts that it has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from perfsuite.domain.task import Inputs
from perfsuite.passes.binarize.binarizable import Sites, binarizable

Values = torch.Tensor


class Net(nn.Module):
    """Layers by name, and a function of them and of the inputs."""

    def __init__(self, run: Callable[..., object], **layers: nn.Module) -> None:
        super().__init__()
        self.run, self.layers = run, nn.ModuleDict(layers)

    def forward(self, *given: Values) -> object:
        return self.run(self.layers, *given)


def conv(inside: int = 8, outside: int = 8, side: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, side, stride, side // 2)


def inputs(count: int = 1) -> Inputs:
    rng = np.random.default_rng(0)
    return {f"x{n}": rng.normal(size=(2, 3, 8, 8)).astype(np.float32) for n in range(count)}


def sites(run: Callable[..., object], given: int = 1, **layers: nn.Module) -> Sites:
    return binarizable(Net(run, **layers).eval(), inputs(given))


def ends(found: Sites, which: str) -> set[str]:
    return {path.removeprefix("layers.") for path, why in found.left.items() if which in why}


def shortcuts(run: Callable[..., Values], **layers: nn.Module) -> set[str]:
    """Return the layers that get a shortcut, of a net with a first and a last one around them."""
    found = sites(
        lambda m, x: m["last"](run(m, m["first"](x)).mean((2, 3))),
        first=conv(3),
        last=nn.Linear(next(reversed(layers.values())).out_channels, 2),
        **layers,
    )
    assert len(found.layers) == len(layers)
    return {path.removeprefix("layers.") for path, site in found.layers.items() if site.shortcut}


# -- ends ----------------------------------------------------------------------------------------


def test_all_that_reads_an_input_and_all_that_feeds_an_output_stays_real() -> None:
    def run(m: nn.ModuleDict, one: Values, other: Values) -> object:
        both = m["b"]((m["one"](one / 255) + m["other"](other)).relu())
        return {"boxes": m["box"](both).flatten(1), "scores": m["score"](both).sigmoid()}

    layers = {"one": conv(3), "other": conv(3), "b": conv(), "box": conv(), "score": conv()}
    found = sites(run, 2, **layers)
    assert list(found.layers) == ["layers.b"]
    assert ends(found, "one of the first layers, which stay real") == {"one", "other"}
    assert ends(found, "one of the last layers, which stay real") == {"box", "score"}


def test_a_detectors_proposals_feed_its_boxes_and_come_of_last_layers() -> None:
    def run(m: nn.ModuleDict, x: Values) -> object:
        features = m["b"](m["a"](x).relu()).relu()
        proposed = m["propose"](features).flatten(1)  # 8 x 8 x 8 numbers a picture
        best = m["rank"](features).flatten(1).topk(4, dim=1).indices
        chosen = proposed.gather(1, best)
        refined = m["refine"](features[:, :, :2, :2]).flatten(2).mean(1) * chosen.exp() + chosen
        made = torch.zeros_like(refined)
        made[:, :2] = refined[:, :2]  # what is written into a part of a tensor
        return made

    layers = {"propose": conv(), "rank": conv(), "refine": conv()}
    found = sites(run, a=conv(3), b=conv(), **layers)
    assert list(found.layers) == ["layers.b"]
    assert ends(found, "last") == {"propose", "rank", "refine"}


def test_what_a_shortcut_brings_to_an_output_comes_of_no_last_layer() -> None:
    def run(m: nn.ModuleDict, x: Values) -> Values:
        first = m["a"](x)
        middle = first + m["c"](m["b"](first).relu())
        return (middle + m["e"](m["d"](middle).relu())).relu()

    found = sites(run, a=conv(3), b=conv(), c=conv(), d=conv(), e=conv())
    assert ends(found, "last") == {"e"}
    assert set(found.layers) == {"layers.b", "layers.c", "layers.d"}


def test_products_without_a_module_are_layers_too_and_masks_come_of_both_sides() -> None:
    weight = torch.ones(5, 8)

    def dense(m: nn.ModuleDict, x: Values) -> Values:
        return functional.linear(m["c"](m["b"](m["a"](x))).mean((2, 3)), weight)

    found = sites(dense, a=conv(3), b=conv(), c=conv())
    assert ends(found, "last") == {"c"}, "by the order of calls: the product has no module"

    def masks(m: nn.ModuleDict, x: Values) -> Values:
        a = m["b"](m["a"](x))
        return torch.bmm(m["queries"](a).flatten(2).mT, m["pixels"](a).flatten(2))

    found = sites(masks, a=conv(3), b=conv(), queries=conv(), pixels=conv())
    assert ends(found, "last") == {"queries", "pixels"}
    assert list(found.layers) == ["layers.b"]


def test_where_nothing_can_be_followed_the_order_of_calls_tells() -> None:
    def run(m: nn.ModuleDict, x: Values) -> Values:
        a = torch.from_numpy(m["a"](x).numpy().copy())
        return torch.from_numpy(m["c"](m["b"](a)).numpy().copy())

    found = sites(run, a=conv(3), b=conv(), c=conv())
    assert (ends(found, "first"), ends(found, "last")) == ({"a"}, {"c"})


# -- shortcuts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        lambda m, x: x + m["conv"](x),
        lambda m, x: functional.hardtanh(x + m["norm"](m["conv"](functional.hardtanh(x)))),
        lambda m, x: m["conv"](x).relu_().add_(x),
        lambda m, x: functional.avg_pool2d(x, 3, 1, 1) + m["conv"](x),
    ],
)
def test_a_convolution_with_a_shortcut_of_its_own_gets_no_other(
    block: Callable[..., Values],
) -> None:
    def run(m: nn.ModuleDict, x: Values) -> Values:
        return m["next"](block({**m, "norm": norm}, x))

    norm = nn.BatchNorm2d(8).eval()
    assert shortcuts(run, conv=conv(), next=conv()) == {"next"}


def test_bi_real_nets_stay_as_they_are() -> None:
    def run(m: nn.ModuleDict, x: Values) -> Values:
        for name in ("a", "b"):
            x = x + m[name](x)
        wider = m["wide"](functional.avg_pool2d(x, 2)) + m["less"](x)
        return wider + m["c"](wider)

    layers = {"a": conv(), "b": conv(), "wide": conv(8, 16, 1), "less": conv(8, 16, stride=2)}
    # Where a net becomes wider, both are binary, and one has the only shortcut of real values.
    assert shortcuts(run, **layers, c=conv(16, 16)) == {"wide"}


def test_shortcuts_around_two_layers_do_not_count() -> None:
    def run(m: nn.ModuleDict, x: Values) -> Values:
        for one, other in ("ab", "cd"):
            x = (x + m[other](m[one](x).relu())).relu()
        return m["wide"](x) + m["f"](m["e"](x).relu())

    layers = {name: conv() for name in "abcd"}
    layers |= {"wide": conv(8, 16, 1, 2), "e": conv(8, 16, stride=2), "f": conv(16, 16)}
    assert shortcuts(run, **layers) == set(layers)


def test_a_real_layer_beside_a_convolution_is_a_shortcut_and_a_binary_one_is_none() -> None:
    def run(m: nn.ModuleDict, x: Values) -> Values:
        return m["conv"](x) + functional.conv2d(x, torch.ones(8, 8, 1, 1))

    assert shortcuts(run, conv=conv()) == set()
    beside = {"one": conv(), "other": conv()}
    assert shortcuts(lambda m, x: m["one"](x) + m["other"](x), **beside) == {"one"}

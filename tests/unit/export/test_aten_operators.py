"""What of torch's operators is counted, what is free, and what is told to be neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from perfsuite.measure.macs import Macs, count_module

X = np.ones((2, 3, 8, 8), np.float32)


class Net(nn.Module):
    def __init__(self, call: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: torch.Tensor) -> Any:
        return self.call(x)


def count(call: Callable[[torch.Tensor], Any], x: np.ndarray = X) -> Macs:
    return count_module(Net(call), {"x": x})


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (torch.fft.rfft, "fft_r2c"),
        (lambda x: torch.linalg.inv(x + torch.eye(8)), "linalg_inv_ex"),
        (lambda x: torch.cdist(x, x), "cdist_forward"),
        (lambda x: functional.bilinear(x, x, torch.zeros(4, 8, 8)), "trilinear"),
    ],
)
def test_what_has_no_formula_is_told(call: Callable[[torch.Tensor], Any], name: str) -> None:
    assert count(call).uncounted == {name: 1}


def test_recurrent_layers_are_counted_or_told() -> None:
    x = np.ones((2, 5, 8), np.float32)
    for layer in (nn.LSTM(8, 4, batch_first=True), nn.GRU(8, 4, batch_first=True)):
        found = count(lambda x, layer=layer: layer(x)[0], x)
        gates = 4 if isinstance(layer, nn.LSTM) else 3
        whole = 2 * 5 * gates * 4 * (8 + 4)
        assert found.macs == whole or found.uncounted


def test_attention_is_counted_or_told() -> None:
    x = np.ones((2, 5, 8), np.float32)
    attend = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    found = count(lambda x: attend(x, x, x)[0], x)
    # Three projections in and one out, 8 x 8 each; scores and values: 5 x 5 x 4, in two heads.
    assert found.macs == 2 * 5 * 8 * 8 * 4 + 2 * 2 * 5 * 5 * 4 * 2 or found.uncounted


def test_fused_attention() -> None:
    found = count(lambda x: functional.scaled_dot_product_attention(x, x, x))
    assert found == Macs(2 * (2 * 3 * 8 * 8 * 8), 0, {})


def test_a_sum_of_products_written_by_letters() -> None:
    found = count(lambda x: torch.einsum("bchw,bcwk->bchk", x, x))
    assert found == Macs(2 * 3 * 8 * 8 * 8, 0, {})


@pytest.mark.parametrize(("mode", "products"), [("bilinear", 4), ("nearest", 0), ("bicubic", 16)])
def test_sampling_at_a_grid(mode: str, products: int) -> None:
    grid = torch.zeros(2, 5, 6, 2)
    found = count(lambda x: functional.grid_sample(x, grid, mode=mode, align_corners=False))
    assert found == Macs(products * 2 * 3 * 5 * 6, 0, {})


def test_an_operator_of_another_library() -> None:
    with torch.library._scoped_library("perfsuite_test", "DEF") as library:
        library.define("mystery(Tensor x) -> Tensor")
        library.impl("mystery", lambda x: x.clone(), "CPU")
        found = count(torch.ops.perfsuite_test.mystery)
    assert found.uncounted == {"perfsuite_test::mystery": 1}


ACTIVATIONS = (
    nn.ReLU(), nn.ReLU6(), nn.GELU(), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Hardsigmoid(),
    nn.ELU(), nn.CELU(), nn.SELU(), nn.PReLU(), nn.LeakyReLU(), nn.Softplus(), nn.LogSigmoid(),
    nn.Softshrink(), nn.Hardtanh(), nn.Tanh(), nn.Sigmoid(), nn.Softmax(1), nn.LogSoftmax(1),
    nn.GLU(-1), nn.Threshold(0.1, 0.0), nn.Softsign(),
)  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [
        *ACTIVATIONS,
        nn.BatchNorm2d(3),
        nn.GroupNorm(3, 3),
        nn.LayerNorm(8),
        nn.InstanceNorm2d(3),
        nn.LocalResponseNorm(2),
        lambda x: functional.rms_norm(x, (8,)),
        lambda x: functional.interpolate(x, scale_factor=2, mode="bicubic"),
        lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear", antialias=True),
        lambda x: functional.pad(x, (1, 1, 1, 1), mode="reflect"),
        lambda x: functional.dropout(x, training=True),
        lambda x: functional.adaptive_avg_pool2d(x, 3),
        lambda x: functional.adaptive_max_pool2d(x, 3),
        lambda x: functional.lp_pool2d(x, 2, 2),
        lambda x: functional.pixel_shuffle(functional.pad(x, (0, 0, 0, 0, 0, 1)), 2),
        lambda x: (x.std(), x.sort(), x.unique(), x.flip(0), x.roll(1), x.cumsum(0), x.topk(2)),
        lambda x: x[x > 2].tolist(),
    ],
    ids=lambda call: type(call).__name__,  # two test processes must name a function alike
)
def test_what_needs_no_products_is_free(call: Callable[[torch.Tensor], Any]) -> None:
    found = count(call.eval() if isinstance(call, nn.Module) else call)
    assert (found.macs, found.uncounted) == (0, {})

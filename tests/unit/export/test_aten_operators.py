"""What of torch's operators is counted, what is free, and what is told to be neither."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import flop_registry

from perfsuite.export.aten_formulas import FORMULAS
from perfsuite.export.aten_operators import TOLD, counted, is_free
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


def test_a_product_of_complex_numbers_is_four_of_real_ones() -> None:
    def modes(x: torch.Tensor) -> Any:
        return torch.einsum("bcij,bcjk->bcik", torch.complex(x, x), torch.complex(x, -x))

    assert count(modes).macs == 4 * count(lambda x: x @ x).macs


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (torch.fft.rfft, "fft_r2c"),
        (lambda x: torch.linalg.inv(x + torch.eye(8)), "linalg_inv_ex"),
        (lambda x: torch.cdist(x, x), "cdist_forward"),
    ],
)
def test_what_has_no_formula_is_told(call: Callable[[torch.Tensor], Any], name: str) -> None:
    assert count(call).uncounted == {name: 1}


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers(kind: Any, gates: int, directions: int) -> None:
    x = np.ones((2, 5, 8), np.float32)
    net = kind(8, 6, num_layers=2, batch_first=True, bidirectional=directions == 2)
    weights = directions * gates * 6 * ((8 + 6) + (directions * 6 + 6))
    found = count(lambda x: net(x)[0], x)
    assert (found.macs, found.uncounted) == (2 * 5 * weights, {})
    with torch.inference_mode():
        assert count(lambda x: net(x)[0], x).macs == 2 * 5 * weights


def test_a_recurrent_layer_that_projects_and_one_of_sequences_of_different_length() -> None:
    x = np.ones((2, 5, 8), np.float32)
    net = nn.LSTM(8, 6, proj_size=3, batch_first=True)
    weights = 24 * (8 + 3) + 6 * 3
    found = count(lambda x: net(x)[0], x)
    assert (found.macs, found.uncounted) == (2 * 5 * weights, {})
    plain = nn.LSTM(8, 6, batch_first=True)

    def packed(x: torch.Tensor) -> torch.Tensor:
        sequences = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True)
        return plain(sequences)[0].data

    assert count(packed, x).macs == (5 + 3) * 24 * (8 + 6)


def test_cells() -> None:
    x = np.ones((2, 8), np.float32)
    for kind, gates in ((nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)):
        found = count(kind(8, 6), x)
        assert (found.macs, found.uncounted) == (2 * gates * 6 * (8 + 6), {})


@pytest.mark.parametrize("fast", [True, False])
def test_attention_of_modules_counts_alike_on_both_paths(fast: bool) -> None:
    x = np.ones((2, 5, 8), np.float32)
    attend = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    # Three projections in and one out, 8 x 8 each; scores and values: 5 x 5 x 4, in two heads.
    attention = 2 * 5 * 8 * 8 * 4 + 2 * 2 * 5 * 5 * 4 * 2
    torch.backends.mha.set_fastpath_enabled(fast)
    try:
        found = count(lambda x: attend(x, x, x)[0], x)
        assert (found.macs, found.uncounted) == (attention, {})
        found = count(layer, x)
        assert (found.macs, found.uncounted) == (attention + 2 * 5 * 2 * 8 * 16, {})
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_fused_attention() -> None:
    found = count(lambda x: functional.scaled_dot_product_attention(x, x, x))
    assert found == Macs(2 * (2 * 3 * 8 * 8 * 8), 0, {})


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("backend", ["MATH", "FLASH_ATTENTION"])
def test_each_way_of_attention(backend: str, masked: bool) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    mask = torch.zeros(8, 8) if masked else None
    with sdpa_kernel(getattr(SDPBackend, backend)):
        found = count(lambda x: functional.scaled_dot_product_attention(x, x, x, mask))
    assert found == Macs(2 * (2 * 3 * 8 * 8 * 8), 0, {})


def matrices(call: Callable[..., torch.Tensor], *shapes: tuple[int, ...]) -> Any:
    return lambda x: call(*(torch.zeros(shape) for shape in shapes))


@pytest.mark.parametrize(
    ("call", "macs"),
    [
        (matrices(torch.mv, (3, 4), (4,)), 12),
        (matrices(torch.addmv, (3,), (3, 4), (4,)), 12),
        (matrices(torch.dot, (4,), (4,)), 4),
        (matrices(torch.matmul, (4,), (4,)), 4),
        (matrices(torch.outer, (3,), (4,)), 0),
        (matrices(torch.addmm, (2, 5), (2, 3), (3, 5)), 30),
        (matrices(torch.baddbmm, (7, 2, 5), (7, 2, 3), (7, 3, 5)), 210),
        (matrices(torch.addbmm, (2, 5), (7, 2, 3), (7, 3, 5)), 210),
        (matrices(functional.bilinear, (2, 5), (2, 6), (4, 5, 6)), 2 * 4 * 5 * 6),
        (matrices(lambda a, b: torch.einsum("bij,bjk->bik", a, b), (2, 3, 4), (2, 4, 5)), 120),
        (matrices(lambda a: torch.einsum("ii->i", a), (3, 3)), 0),
        (matrices(torch.conv_tbc, (6, 2, 3), (3, 3, 5), (5,)), 4 * 2 * 5 * 3 * 3),
        (matrices(functional.conv3d, (1, 2, 4, 4, 4), (6, 2, 2, 2, 2)), 27 * 6 * 2 * 8),
        (matrices(functional.conv_transpose2d, (1, 3, 4, 4), (3, 5, 2, 2)), 3 * 16 * 5 * 4),
        (
            matrices(
                partial(functional.grid_sample, align_corners=False),
                (2, 3, 4, 4, 4),
                (2, 5, 6, 7, 3),
            ),
            8 * 2 * 3 * 210,
        ),
        (
            matrices(lambda a: functional.embedding_bag(torch.zeros(1, 3).long(), a), (9, 4)),
            0,
        ),
    ],
    ids=range(16),
)
def test_products_by_hand(call: Any, macs: int) -> None:
    found = count(call)
    assert (found.macs, found.uncounted) == (macs, {})


def test_a_deformed_convolution() -> None:
    from torchvision.ops import deform_conv2d

    weight, offset = torch.zeros(5, 3, 3, 3), torch.zeros(2, 18, 6, 6)
    assert count(lambda x: deform_conv2d(x, offset, weight)) == Macs(2 * 5 * 36 * 27, 0, {})


def test_layers_of_integers() -> None:
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.LSTM(4, 6)).eval()
    dynamic = torch.ao.quantization.quantize_dynamic(net, {nn.Linear, nn.LSTM})
    found = count(lambda x: dynamic(x[0])[0])
    assert (found.macs, found.uncounted) == (3 * 8 * (8 * 4 + 24 * (4 + 6)), {})
    weight = torch.quantize_per_tensor(torch.zeros(5, 3, 3, 3), 0.1, 0, torch.qint8)
    packed = torch.ops.quantized.conv2d_prepack(weight, None, [1, 1], [0, 0], [1, 1], 1)

    def convolution(x: torch.Tensor) -> torch.Tensor:
        rounded = torch.quantize_per_tensor(x, 0.1, 0, torch.quint8)
        return torch.ops.quantized.conv2d(rounded, packed, 0.1, 0).dequantize()

    assert count(convolution) == Macs(2 * 5 * 36 * 27, 0, {})


def test_an_operator_made_of_others_is_uncounted_if_one_of_them_is() -> None:
    with torch.inference_mode():
        found = count(lambda x: torch.fft.rfft(x).abs() @ torch.zeros(5, 2))
    assert (found.macs, found.uncounted) == (2 * 3 * 8 * 5 * 2, {"fft_r2c": 1})


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


def test_every_operator_of_torch_is_counted_or_free_or_told_on_purpose() -> None:
    unknown, twice = set(), set()
    for full in torch._C._dispatch_get_all_op_names():
        space, _, name = full.partition("::")
        base, _, overload = name.partition(".")
        plain = base.rstrip("_")
        if space != "aten" or "backward" in base or overload.endswith("out"):
            continue
        made_of_others = "CompositeImplicitAutograd"
        if torch._C._dispatch_has_kernel_for_dispatch_key(full, made_of_others):
            continue
        packet = getattr(torch.ops.aten, base)
        if not hasattr(packet, overload or "default"):
            continue
        func = getattr(packet, overload or "default")
        has_formula = plain in FORMULAS or packet in flop_registry
        kinds = [has_formula, is_free(func), plain in TOLD]
        if not any(kinds):
            unknown.add(plain)
        if sum(kinds) > 1:
            twice.add(plain)
    assert unknown == set()
    assert twice == set()


def test_marks_that_code_sets_for_profilers_are_no_arithmetic() -> None:
    with counted() as count, torch.profiler.record_function("mine"):
        torch.ones(2, 2) @ torch.ones(2, 2)
    assert (count.macs, dict(count.uncounted)) == (8, {})

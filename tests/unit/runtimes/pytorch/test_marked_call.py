"""A call that is watched shows its layers, their layouts and denormals, and answers as ever."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite.runtimes.pytorch.marked_call import (
    Layer,
    Watched,
    is_layer,
    memory_format,
    tensor_denormals,
    watched,
)
from perfsuite.runtimes.shared.denormals import Share

OTHERS = (
    "add relu_ upsample_bilinear2d upsample_linear1d linspace convert_element_type comm "
    "max_pool2d softmax batch_norm native_layer_norm mul sum summation mean view conv2d_prepack "
    "mkldnn_reorder_conv2d_weight _softmax index embedding nms"
)
LAYERS = (
    "convolution conv2d conv_transpose2d cudnn_convolution mkldnn_convolution deform_conv2d "
    "_slow_conv2d_forward mm addmm addmm_ bmm baddbmm_ _int_mm _scaled_mm mv addmv dot matmul "
    "einsum linear mkldnn_linear bilinear lstm gru rnn_tanh lstm_cell mkldnn_rnn_layer "
    "scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu "
    "_transformer_encoder_layer_fwd _native_multi_head_attention conv2d_relu"
)


@pytest.mark.parametrize("operator", LAYERS.split())
def test_convolutions_products_recurrent_layers_and_attentions_are_layers(operator: str) -> None:
    assert is_layer(operator)


@pytest.mark.parametrize("operator", OTHERS.split())
def test_nothing_else_is(operator: str) -> None:
    assert not is_layer(operator)


def test_memory_formats_are_told_apart() -> None:
    pictures = torch.zeros(2, 3, 4, 5)
    last = pictures.contiguous(memory_format=torch.channels_last)
    assert memory_format(pictures) == "contiguous"
    assert memory_format(last) == "channels-last"
    assert memory_format(pictures.transpose(2, 3)) == "neither"
    assert memory_format(torch.zeros(8, 4, 1, 1)) == "contiguous", "which is both"
    volume = torch.zeros(2, 3, 4, 5, 6).contiguous(memory_format=torch.channels_last_3d)
    assert memory_format(volume) == "channels-last"
    assert memory_format(torch.zeros(2, 3, 4).transpose(1, 2)) == "neither"
    assert memory_format(torch.zeros(2, 2).to_sparse()) == "opaque"


def test_denormals_of_tensors_by_their_type() -> None:
    values = torch.tensor([1e-40, 1.0, 0.0])
    assert tensor_denormals("a", values) == Share("a", 1, 3)
    assert tensor_denormals("a", values.bfloat16()) == Share("a", 1, 3)
    assert tensor_denormals("a", nn.Parameter(values)) == Share("a", 1, 3)
    for none in (values.half(), values.int(), values.to_sparse(), values.to("meta")):
        assert tensor_denormals("a", none) == Share("a", 0, 0)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.body = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 2))
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.body(self.first(x.transpose(2, 3))).mean((2, 3)) * 1e-40
        return self.head(y) @ torch.ones(2, 2)


def seen() -> Watched:
    net = Net().eval()
    with torch.no_grad():
        net.head.bias.zero_()
    pictures = np.random.default_rng(0).random((2, 3, 8, 9), np.float32) + 1
    with torch.inference_mode():
        plain = net(torch.from_numpy(pictures))
        answers = []

        def run(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            answers.append(net(torch.from_numpy(inputs["x"])))
            return []

        found = watched(net, run, (), {"x": pictures})
    assert torch.equal(plain, answers[0])
    return found


@pytest.fixture(scope="module")
def found() -> Iterator[Watched]:
    torch.manual_seed(0)
    yield seen()


def test_layers_come_in_order_with_paths_shapes_and_layouts(found: Watched) -> None:
    plain = [one._replace(lines=()) for one in found.layers]
    kind = ("conv2d", "aten", "float32", ())
    shapes = ((2, 3, 9, 8), (4, 3, 3, 3)), ((2, 4, 7, 6), (4, 4, 2, 2))
    assert plain == [
        Layer("first", *kind, shapes[0], ("neither", "contiguous")),
        Layer("body.1", *kind, shapes[1], ("contiguous", "contiguous")),
        Layer("head", "linear", "aten", "float32", (), ((2, 4), (2, 4))),
        Layer("", "matmul", "aten", "float32", (), ((2, 2), (2, 2))),
    ]


def test_denormal_answers_are_counted_where_they_arise(found: Watched) -> None:
    many = [one for one in found.answers if one.denormals]
    assert many[0] == Share("mul", 8, 8)


def test_lines_between_two_marks_are_of_the_layer(found: Watched) -> None:
    for layer in found.layers:
        assert all(line in found.lines for line in layer.lines)
    if "oneDNN" in found.speaking:
        first, second, *products = found.layers
        assert any(",convolution," in line for line in first.lines), "two samples, so oneDNN's"
        assert any(",convolution," in line for line in second.lines)
        assert not any(",convolution," in line for one in products for line in one.lines)

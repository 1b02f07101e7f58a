"""Hand-computed MACs and parameters of toy graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import odd_graphs as odd
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.errors import ConfigError
from perfsuite.measure.macs import Macs, count_graph, count_module


def graph(nodes, inputs, weights, *, output="y", domains=()):  # type: ignore[no-untyped-def]
    opsets = [helper.make_opsetid("", 19), *(helper.make_opsetid(d, 1) for d in domains)]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    made = helper.make_graph(nodes, "toy", values, [result], tensors)
    return helper.make_model(made, opset_imports=opsets, ir_version=9)


def weight(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


def conv(*inputs: str, **attributes: object):  # type: ignore[no-untyped-def]
    return helper.make_node("Conv", list(inputs), ["y"], **attributes)


def test_convolution_at_a_dynamic_batch() -> None:
    net = graph(
        [conv("x", "w", "b", pads=[1, 1, 1, 1])],
        {"x": ["batch", 3, 4, 4]},
        {"w": weight(8, 3, 3, 3), "b": weight(8)},
    )
    assert count_graph(net) == Macs(8 * 16 * 27, 8 * 27 + 8, {})


def test_grouped_strided_convolution_of_one_axis() -> None:
    net = graph([conv("x", "w", group=2, strides=[2])], {"x": [5, 4, 9]}, {"w": weight(6, 2, 3)})
    # (9 - 3) / 2 + 1 = 4 places; the static batch of 5 counts as it is
    assert count_graph(net).macs == 5 * 6 * 4 * 2 * 3


def test_transposed_convolution() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    net = graph([node], {"x": [1, 3, 4, 4]}, {"w": weight(3, 5, 2, 2)})
    assert count_graph(net).macs == 3 * 16 * 5 * 4


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(transposed: int) -> None:
    shape = [7, 2] if transposed else [2, 7]
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transA=transposed)
    net = graph([node], {"x": shape}, {"w": weight(7, 3), "b": weight(3)})
    assert count_graph(net) == Macs(2 * 7 * 3, 24, {})


def test_batched_product_of_two_activations_has_no_parameters() -> None:
    node = helper.make_node("MatMul", ["a", "b"], ["y"])
    net = graph([node], {"a": [2, 4, 5, 6], "b": [2, 4, 6, 3]}, {})
    assert count_graph(net) == Macs(2 * 4 * 5 * 3 * 6, 0, {})


def test_quantized_weights_count_once_and_scales_do_not() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "sx", "zx"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["dw"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "sw", "zb"], ["db"], axis=0),
        conv("d", "dw", "db"),
    ]
    weights = {
        "sx": np.float32(0.1),
        "zx": np.uint8(0),
        "w": weight(8, 3, 1, 1, dtype=np.int8),
        "sw": weight(8),
        "zw": weight(8, dtype=np.int8),
        "b": weight(8, dtype=np.int32),
        "zb": weight(8, dtype=np.int32),
    }
    weights = {name: np.asarray(array) for name, array in weights.items()}
    net = graph(nodes, {"x": ["batch", 3, 4, 4]}, weights)
    assert count_graph(net) == Macs(16 * 8 * 3, 8 * 3 + 8, {})


def test_statistics_shapes_and_scalars_are_no_parameters() -> None:
    nodes = [
        helper.make_node("BatchNormalization", ["x", "g", "s", "m", "v"], ["n"]),
        helper.make_node("Mul", ["n", "half"], ["h"]),
        helper.make_node("Reshape", ["h", "to"], ["r"]),
        helper.make_node("Add", ["r", "bias"], ["y"]),
    ]
    weights = {name: weight(4) for name in "gsmv"}
    weights |= {"half": np.float32(0.5).reshape(()), "to": np.array([0, -1])}
    weights |= {"bias": weight(4), "unused": weight(1000)}
    net = graph(nodes, {"x": ["batch", 4, 1, 1]}, weights)
    assert count_graph(net) == Macs(0, 3 * 4, {})


def test_a_weight_used_twice_and_one_in_a_constant_node() -> None:
    nodes = [
        helper.make_node("Constant", [], ["w2"], value=numpy_helper.from_array(weight(4, 4))),
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("MatMul", ["a", "w1"], ["b"]),
        helper.make_node("MatMul", ["b", "w2"], ["y"]),
    ]
    net = graph(nodes, {"x": ["batch", 4]}, {"w1": weight(4, 4)})
    assert count_graph(net) == Macs(3 * 16, 2 * 16, {})


def test_what_cannot_be_counted_is_said() -> None:
    nodes = [
        helper.make_node("Det", ["x"], ["d"]),
        helper.make_node("Add", ["x", "d"], ["e"]),
        helper.make_node("Mystery", ["e"], ["n"], domain="com.example"),
        helper.make_node("Mystery", ["n"], ["m"], domain="com.example"),
        helper.make_node("MatMul", ["m", "w"], ["y"]),  # its shape is unknown now
    ]
    net = graph(nodes, {"x": [3, 3]}, {"w": weight(3, 3)}, domains=("com.example",))
    counted = count_graph(net)
    assert counted.macs == 0
    assert counted.uncounted == {
        "Det": 1,
        "com.example::Mystery": 2,
        "MatMul of unknown size": 1,
    }


def test_the_body_of_a_function_is_counted() -> None:
    body = helper.make_function(
        "com.example",
        "Twice",
        ["a", "b"],
        ["c"],
        [
            helper.make_node("MatMul", ["a", "b"], ["t"]),
            helper.make_node("MatMul", ["t", "b"], ["c"]),
        ],
        [helper.make_opsetid("", 19)],
    )
    node = helper.make_node("Twice", ["x", "w"], ["y"], domain="com.example")
    net = graph([node], {"x": ["batch", 3]}, {"w": weight(3, 3)}, domains=("com.example",))
    net.functions.append(body)
    assert count_graph(net) == Macs(2 * 9, 9, {})


def test_the_model_given_stays_as_it_is() -> None:
    net = graph([conv("x", "w")], {"x": ["batch", 3, 4, 4]}, {"w": weight(8, 3, 3, 3)})
    before = net.SerializeToString()
    count_graph(net)
    assert net.SerializeToString() == before


@pytest.mark.parametrize("content", [b"", b"this is text, not a model"])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.onnx"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="ONNX"):
        count_graph(path)
    with pytest.raises(ConfigError, match="missing"):
        count_graph(tmp_path / "missing.onnx")


def test_a_file_that_is_no_model_says_so(tmp_path: Path) -> None:
    path = tmp_path / "no.onnx"
    path.write_bytes(b"this is text, not a model")
    with pytest.raises(ConfigError) as caught:
        count_graph(path)
    assert str(caught.value).startswith(f"{path}: cannot be read as an ONNX model: ")
    path.write_bytes(b"")
    with pytest.raises(ConfigError) as caught:
        count_graph(str(path))
    assert str(caught.value) == ("this is not an ONNX model: it has no IR version (an empty file?)")


def test_each_dynamic_axis_is_one() -> None:
    net = graph([conv("x", "w")], {"x": ["batch", 3, "height", "width"]}, {"w": weight(8, 3, 1, 1)})
    assert count_graph(net).macs == 8 * 3


def test_what_a_module_runs_beside_products_is_uncounted() -> None:
    import torch
    from torch import nn

    class Net(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            assert not torch.is_grad_enabled()
            assert not self.training
            first = torch.linalg.inv(x @ y)
            return torch.linalg.inv(first) @ y

    a = {"x": np.eye(2, dtype=np.float32), "y": 2 * np.eye(2, dtype=np.float32)}
    net = Net()
    counted = count_module(net, a)
    assert (counted.macs, counted.parameters) == (2 * 8, 0)
    assert type(counted.macs) is int
    assert list(counted.uncounted.values()) == [2]
    assert net.training


def test_a_module_that_fails_is_left_as_it_was() -> None:
    from torch import nn

    net = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(RuntimeError):
        count_module(net, {"x": np.ones((1, 4), np.float32)})
    assert net.training and net[0].training


def test_a_module_is_counted_and_left_as_it_was() -> None:
    import torch
    from torch import nn

    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    net[3].eval()
    counted = count_module(net, {"x": np.ones((1, 1, 4, 4), np.float32)})
    assert counted == Macs(2 * 4 * 9 + 8 * 3, 2 * 9 + 2 + 4 + 27, {})
    assert [part.training for part in net.children()] == [True, True, True, False]
    assert torch.equal(net[1].running_mean, torch.zeros(2))


@pytest.mark.parametrize(("mode", "products"), [("linear", 4), ("nearest", 0), ("cubic", 16)])
def test_sampling_at_a_grid_weights_the_neighbours(mode: str, products: int) -> None:
    node = helper.make_node("GridSample", ["x", "g"], ["y"], mode=mode)
    opsets = [helper.make_opsetid("", 20)]
    net = graph([node], {"x": [2, 3, 8, 8], "g": [2, 5, 6, 2]}, {})
    del net.opset_import[:]
    net.opset_import.extend(opsets)
    assert count_graph(net) == Macs(products * 2 * 3 * 5 * 6, 0, {})


def test_weights_that_are_stored_sparse_count_as_the_dense_ones_that_run() -> None:
    plain = count_graph(odd.model(odd.body()))
    for make in (odd.sparse_weights, odd.sparse_constant):
        assert count_graph(make()) == plain

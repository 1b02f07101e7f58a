"""The operator of binary convolutions: its packing, its answers, and its function in engines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from binary_graphs import single_layer

from perfsuite.errors import ConfigError
from perfsuite.export.binary_operator import (
    ConvGeometry,
    add_function,
    binary_conv,
    geometry_of,
    is_binary_conv,
    pack_weights,
    unpack_weights,
)
from perfsuite.export.functions import inlined
from perfsuite.export.onnx import load_graph


def test_bit_b_of_byte_k_is_channel_8k_plus_b_and_filling_bits_are_0() -> None:
    weights = -np.ones((1, 11, 1, 1))
    weights[0, [0, 2, 9]] = 1
    assert pack_weights(weights).tolist() == [[[[0b101, 0b10]]]]


def test_weights_come_back_as_signs() -> None:
    weights = np.random.default_rng(0).normal(size=(3, 13, 2, 3))
    assert np.array_equal(unpack_weights(pack_weights(weights), 13), np.where(weights >= 0, 1, -1))


def test_a_value_at_its_threshold_counts_as_plus_one_and_padding_adds_nothing() -> None:
    x = np.array([0.5, 0.4, 0.6], np.float32).reshape(1, 1, 1, 3)
    packed = pack_weights(np.array([1.0, -1.0, 1.0]).reshape(1, 1, 1, 3))
    geometry = ConvGeometry((1, 3), pads=(0, 1, 0, 1))
    y = binary_conv(x, np.float32([0.5]), packed, np.float32([2.0]), geometry)
    # Signs are + - +; the first and the last place read two taps, not three.
    assert y.ravel().tolist() == [-4.0, 6.0, -4.0]


CASES = [
    (64, 64, ConvGeometry((3, 3), pads=(1, 1, 1, 1))),
    (12, 20, ConvGeometry((3, 2), (2, 1), (1, 0, 2, 1), (1, 2), 4)),
    (7, 5, ConvGeometry((1, 1))),
]


@pytest.mark.parametrize(("channels", "filters", "geometry"), CASES)
def test_its_function_answers_exactly_as_numpy_does(
    channels: int, filters: int, geometry: ConvGeometry
) -> None:
    import onnxruntime
    from onnx import inliner

    model, tensors = single_layer(channels, filters, (8, 9), geometry)
    x = np.random.default_rng(1).normal(size=(2, channels, 8, 9)).astype(np.float32)
    x[:, :, 0] = tensors["conv.threshold"][:, None]
    expected = binary_conv(x, *tensors.values(), geometry)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    for one in (model, inliner.inline_local_functions(model)):
        session = onnxruntime.InferenceSession(one.SerializeToString(), settings)
        assert np.array_equal(session.run(None, {"x": x})[0], expected)
    shape = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape
    assert tuple(side.dim_value for side in shape.dim)[1:] == expected.shape[1:]


def test_a_loaded_graph_has_it_whole_with_its_geometry(tmp_path: Path) -> None:
    geometry = ConvGeometry((3, 2), (2, 1), (1, 0, 2, 1), (1, 2), 4)
    model, _ = single_layer(12, 20, (8, 9), geometry)
    onnx.save(model, tmp_path / "net.onnx")
    loaded = load_graph(tmp_path / "net.onnx")
    (node,) = loaded.graph.node
    assert is_binary_conv(node)
    assert geometry_of(node) == (3, geometry)
    assert not inlined(loaded).functions


def test_its_function_is_of_the_operator_set_of_the_model() -> None:
    import onnxruntime

    model, tensors = single_layer(7, 5, (3, 3), ConvGeometry((1, 1)))
    del model.functions[:]
    model.opset_import[0].version = 21
    add_function(model)
    assert model.functions[0].opset_import[0].version == 21
    x = np.random.default_rng(1).normal(size=(1, 7, 3, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = binary_conv(x, *tensors.values(), ConvGeometry((1, 1)))
    assert np.array_equal(session.run(None, {"x": x})[0], expected)
    del model.functions[:]
    model.opset_import[0].version = 17
    with pytest.raises(ConfigError, match="needs operator set 18, the model has 17"):
        add_function(model)


def test_a_node_without_an_attribute_is_named() -> None:
    model, _ = single_layer(4, 4, (3, 3), ConvGeometry((1, 1)))
    node = model.graph.node[0]
    del node.attribute[0]
    with pytest.raises(ConfigError, match=r"node 'conv': .*channels.*export the model again"):
        geometry_of(node)

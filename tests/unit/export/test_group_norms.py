"""Group normalizations of operator sets 18 to 20, which have a scale for each group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import odd_graphs as odd
import onnx
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of, wanted_of
from onnx import TensorProto as T

from perfsuite.errors import ConfigError
from perfsuite.export.nodes import graph_nodes
from perfsuite.export.onnx import load_graph

GROUPS, CHANNELS, SIDES, LEAST = 4, 8, (3, 5), 1e-3
RNG = np.random.default_rng(0)
X = RNG.normal(2.0, 3.0, (2, CHANNELS, *SIDES)).astype(np.float32)
HELD = {name: RNG.normal(size=GROUPS).astype(np.float32) for name in ("scale", "bias")}


def normalized(opset: int, name: str = "norm", scales: int = GROUPS) -> onnx.ModelProto:
    node = odd.node("GroupNormalization", ["x", "scale", "bias"], ["y"], name,
                    num_groups=GROUPS, epsilon=LEAST)  # fmt: skip
    held = {what: np.resize(one, scales) for what, one in HELD.items()}
    x, y = (odd.value(one, ["n", CHANNELS, *SIDES]) for one in "xy")
    return odd.model([node], (y,), (x,), held, weights={}, opset=opset)


def expected() -> np.ndarray:
    """Return the normalized values, by their definition."""
    groups = X.reshape(len(X), GROUPS, -1)
    centred = groups - groups.mean(-1, keepdims=True)
    each = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + LEAST)
    scaled = each * HELD["scale"][:, None] + HELD["bias"][:, None]
    return scaled.reshape(X.shape)


def read(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    onnx.save(model, folder / "given.onnx")
    return load_graph(folder / "given.onnx")


@pytest.mark.parametrize("opset", [18, 20])
@pytest.mark.parametrize("inside", [False, True])
def test_both_engines_answer_by_the_definition(opset: int, inside: bool, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    model = normalized(opset)
    made = read(inside_branch(model) if inside else model, tmp_path)
    np.testing.assert_allclose(wanted_of(made, X), expected(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer_of(made, X, tmp_path), expected(), rtol=1e-4, atol=1e-5)


def test_what_is_written_belongs_to_the_module_of_the_node(tmp_path: Path) -> None:
    nodes = graph_nodes(read(normalized(18, name="body/norm"), tmp_path), {"x": X})
    assert {node.path for node in nodes} == {"body"}
    assert sum(node.macs or 0 for node in nodes) == 0


def test_one_with_as_many_scales_as_channels_is_taken_in_operator_set_21_alone(
    tmp_path: Path,
) -> None:
    kept = read(normalized(21, scales=CHANNELS), tmp_path)
    assert [node.op_type for node in kept.graph.node] == ["GroupNormalization"]
    with pytest.raises(ConfigError, match="GroupNormalization was withdrawn"):
        read(normalized(18, scales=CHANNELS), tmp_path)


def test_half_precision_stays(tmp_path: Path) -> None:
    model = normalized(18)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = T.FLOAT16
    for tensor in model.graph.initializer:
        half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
    onnx.shape_inference.infer_shapes(read(model, tmp_path), check_type=True, strict_mode=True)

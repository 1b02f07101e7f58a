"""ONNX's own implementation answers as ONNX Runtime does, where both run a graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.task import Outputs
from perfsuite.export.evaluated import evaluated
from perfsuite.runner.build.reference import graph_outputs

_RNG = np.random.default_rng(0)
PICTURES = _RNG.normal(size=(2, 4, 6, 6)).astype(np.float32)
STEPS = _RNG.normal(size=(5, 2, 4)).astype(np.float32)  # two samples of five steps
LENGTHS = np.array([3, 5], np.int32)


def _weights(gates: int) -> list[np.ndarray]:
    """Return those of a recurrent layer from 4 values to 3, without bias."""
    return [_RNG.normal(0, 0.5, (1, gates * 3, width)).astype(np.float32) for width in (4, 3)]


def _norm() -> list[np.ndarray]:
    return [_RNG.uniform(0.5, 1.5, 4).astype(np.float32) for _ in range(4)]


def graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    array: np.ndarray,
    constants: dict[str, np.ndarray],
    opset: int,
) -> Path:
    """Write a graph from `x` to `y`."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, array.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(one, name) for name, one in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def both(file: Path, array: np.ndarray) -> tuple[Outputs, Outputs]:
    found = evaluated(file, {"x": array})
    assert found is not None
    return found, graph_outputs(file, {"x": array})


@pytest.mark.parametrize("opset", [7, 12, 14])
@pytest.mark.parametrize(
    ("kind", "array", "more", "attributes"),
    [
        ("BatchNormalization", PICTURES, _norm(), {}),
        ("LRN", PICTURES, [], {"size": 3, "alpha": 0.5}),
        ("Softmax", PICTURES, [], {"axis": 1}),
        ("LogSoftmax", PICTURES, [], {"axis": 2}),
        ("Hardmax", PICTURES, [], {"axis": 1}),
        ("LpNormalization", PICTURES, [], {"axis": 1, "p": 1}),
        (
            "MaxPool",
            PICTURES,
            [],
            {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
        ),
        ("LSTM", STEPS, [*_weights(4), None, LENGTHS], {"hidden_size": 3}),
        ("GRU", STEPS, _weights(3), {"hidden_size": 3, "clip": 0.3}),
        ("RNN", STEPS, _weights(1), {"hidden_size": 3, "activations": ["Relu"]}),
    ],
)
def test_operators_mean_what_they_mean_in_their_operator_set(
    kind: str,
    array: np.ndarray,
    more: list[np.ndarray | None],
    attributes: dict[str, Any],
    opset: int,
    tmp_path: Path,
) -> None:
    constants = {f"c{place}": one for place, one in enumerate(more) if one is not None}
    names = ["" if one is None else f"c{place}" for place, one in enumerate(more)]
    node = helper.make_node(kind, ["x", *names], ["y"], **attributes)
    (found,), (expected,) = both(graph(tmp_path / "g.onnx", [node], array, constants, opset), array)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_result_without_a_name_is_given_to_nobody(tmp_path: Path) -> None:
    last = helper.make_node("LSTM", ["x", "c0", "c1"], ["", "h"], hidden_size=3)
    clip = helper.make_node("Clip", ["h", "", "most"], ["y"])
    first, second = _weights(4)
    constants = {"c0": first, "c1": second, "most": np.array(0.05, np.float32)}
    file = graph(tmp_path / "g.onnx", [last, clip], STEPS, constants, 14)
    (found,), (expected,) = both(file, STEPS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_nobody_answers_what_onnx_misreads_and_onnx_runtime_does_not_take(tmp_path: Path) -> None:
    even = helper.make_node("LRN", ["x"], ["y"], size=4)
    assert evaluated(graph(tmp_path / "g.onnx", [even], PICTURES, {}, 13), {"x": PICTURES}) is None

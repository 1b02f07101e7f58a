"""Circular padding, which OpenVINO has no operator for, is answered as ONNX Runtime does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.errors import Unsupported
from perfsuite.runtimes.openvino.wrapped_pads import with_joined_slices

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

SIDES: list[Any] = ["batch", 3, 5, 6]
X = np.random.default_rng(0).normal(size=(2, 3, 5, 6)).astype(np.float32)


def padded(
    pads: list[int] | None,
    axes: list[int] | None = None,
    mode: str = "wrap",
    sides: list[Any] = SIDES,
) -> onnx.ModelProto:
    """Return a Pad; one of which it is not known what it adds if `pads` is None."""
    held = {} if pads is None else {"pads": np.array(pads)}
    held |= {} if axes is None else {"axes": np.array(axes)}
    given = ["x", "pads", *([] if axes is None else ["", "axes"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)]
    if pads is None:
        inputs.append(helper.make_tensor_value_info("pads", TensorProto.INT64, [8]))
    graph = helper.make_graph(
        [helper.make_node("Pad", given, ["y"], "pad", mode=mode)],
        "graph",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(sides))],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 19)])


@pytest.mark.parametrize(
    ("pads", "axes"),
    [
        ([0, 0, 1, 2, 0, 0, 3, 4], None),
        ([0, 0, 5, 0, 0, 0, 0, 0], None),
        ([0, 2, 0, 0, 0, 1, 0, 6], None),
        ([1, 2, 0, 3], [-1, 1]),
        ([0] * 8, None),
    ],
)
def test_edges_come_from_the_other_end(
    pads: list[int], axes: list[int] | None, tmp_path: Path
) -> None:
    graph = padded(pads, axes)
    np.testing.assert_array_equal(answer_of(graph, X, tmp_path), wanted_of(graph, X))


def test_in_branches_too(tmp_path: Path) -> None:
    graph = inside_branch(padded([0, 0, 1, 2, 0, 0, 3, 4]))
    np.testing.assert_array_equal(answer_of(graph, X, tmp_path), wanted_of(graph, X))


@pytest.mark.parametrize(
    ("pads", "sides"),
    [
        ([0, 0, 6, 0, 0, 0, 0, 0], SIDES),
        ([0, 0, -1, 0, 0, 0, 0, 0], SIDES),
        ([0, 0, 1, 0, 0, 0, 1, 0], ["batch", 3, "height", 6]),
        (None, SIDES),
    ],
    ids=["more than there is", "less", "open sides", "computed"],
)
def test_what_cannot_be_written_otherwise_is_refused_by_its_name(
    pads: list[int] | None, sides: list[Any]
) -> None:
    with pytest.raises(Unsupported, match=r"node 'pad' is circular padding .* take onnxruntime"):
        with_joined_slices(padded(pads, sides=sides))


def test_other_padding_stays() -> None:
    graph = padded([0, 0, 1, 2, 0, 0, 3, 4], mode="reflect")
    assert with_joined_slices(graph) is graph

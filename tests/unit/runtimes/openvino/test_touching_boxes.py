"""Boxes that overlap by just the threshold are kept, as ONNX says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.touching_boxes import keep_boxes_that_touch

openvino = pytest.importorskip("openvino")

# The second is half of the first, the third equals it, the fourth is a little more than half.
BOXES = np.float32([[[0, 0, 2, 1], [0, 0, 1, 1], [0, 0, 2, 1], [0, 0, 1.001, 1]]])
SCORES = np.float32([[[0.9, 0.8, 0.7, 0.6]]])


def boxes_kept_at(threshold: float) -> onnx.ModelProto:
    """Return a graph that gives the numbers of the boxes that it keeps."""
    held = {
        "most": np.array([9], np.int64), "threshold": np.float32([threshold]),
        "last": np.array(2, np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("NonMaxSuppression", ["x", "scores", "most", "threshold"], ["all"], "nms"),
        helper.make_node("Gather", ["all", "last"], ["kept"], "kept", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 4])],
        [helper.make_tensor_value_info("kept", TensorProto.INT64, None)],
        [
            *(numpy_helper.from_array(value, name) for name, value in held.items()),
            numpy_helper.from_array(SCORES, "scores"),
        ],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize(
    ("threshold", "kept"), [(1.0, [0, 1, 2, 3]), (0.5, [0, 1]), (0.499, [0]), (0.9995, [0, 1, 3])]
)
def test_what_overlaps_by_just_the_threshold_is_kept(
    tmp_path: Path, threshold: float, kept: list[int]
) -> None:
    assert answer_of(boxes_kept_at(threshold), BOXES, tmp_path).tolist() == kept


def test_in_a_branch_too(tmp_path: Path) -> None:
    inside = inside_branch(boxes_kept_at(0.5))
    assert answer_of(inside, BOXES, tmp_path).tolist() == [0, 1]


def test_a_threshold_is_moved_once(tmp_path: Path) -> None:
    onnx.save(boxes_kept_at(0.5), tmp_path / "net.onnx")
    model = openvino.Core().read_model(tmp_path / "net.onnx")
    for _ in range(2):
        keep_boxes_that_touch(model)
        (layer,) = (
            one for one in model.get_ordered_ops() if one.get_type_name() == "NonMaxSuppression"
        )
        threshold = layer.input_value(3).get_node().data.reshape(-1)
        assert threshold.tolist() == [np.nextafter(np.float32(0.5), np.float32(1))]

"""What OpenVINO says of operations that it does not convert, without what follows from others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.runtime import Manifest, Variant
from perfsuite.errors import BuildError
from perfsuite.runtimes.openvino.causes import with_causes
from perfsuite.runtimes.openvino.runtime import OpenVino


def test_the_operation_that_is_not_converted_is_told_and_not_its_successor(tmp_path: Path) -> None:
    sides = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2, 4, 4]) for n in "xy"]
    constants = {
        "scales": np.array([1, 1, 0.5, 0.5], np.float32),
        "w": np.ones((2, 2, 1, 1), np.float32),
    }
    mode = {"coordinate_transformation_mode": "half_pixel_symmetric", "mode": "linear"}
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["r"], "resize", **mode),
        helper.make_node("Conv", ["r", "w"], ["y"], "conv"),
    ]
    made = [numpy_helper.from_array(one, name) for name, one in constants.items()]
    graph = helper.make_graph(nodes, "g", sides[:1], sides[1:], made)
    file = tmp_path / "g.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10), file
    )
    manifest = Manifest("openvino", "cpu", "fp32", 1, (), ("y",), lossy=False, quantized=False)
    with pytest.raises(BuildError, match="half_pixel_symmetric - this type") as caught:
        OpenVino().build(Variant(file, None, quantized=False), manifest, tmp_path)
    assert "Conv-19 with" not in str(caught.value)


def test_what_only_follows_is_told_where_nothing_else_is() -> None:
    said = (
        "log:\n-- Conv-13 with a message:\nThe rank has to be known (static)\n\nSummary:\n-- Conv"
    )
    assert with_causes(said) == said
    assert with_causes("another message") == "another message"

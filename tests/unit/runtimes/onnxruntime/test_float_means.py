"""Means that no 8-bit kernel takes are right where what they read and give is rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from fuzzed_checks import answers
from inside_branches import inside_branch
from on_openvino import wanted_of
from rounded_pooling import pictures, pooling

from perfsuite.runtimes.onnxruntime.float_means import with_float_means

runtime = pytest.importorskip("onnxruntime")

PAST = {"pads": [1, 1, 1, 1], "count_include_pad": 1, "ceil_mode": 1}


def optimized(graph: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = runtime.InferenceSession(graph.SerializeToString())
    answer: np.ndarray = session.run(None, {"x": x})[0]
    return answer


@pytest.mark.parametrize("inside", [False, True])
def test_windows_are_divided_by_what_they_hold(inside: bool) -> None:
    graph, x = pooling(**PAST), pictures()
    made = with_float_means(inside_branch(graph) if inside else graph)
    np.testing.assert_allclose(optimized(made, x), wanted_of(graph, x), atol=0.031)


@pytest.mark.parametrize("dilation", [1, 2])
def test_dilated_windows_can_be_opened(dilation: int) -> None:
    graph, x = pooling(opset=19, dilations=[dilation, dilation]), pictures()
    np.testing.assert_allclose(
        optimized(with_float_means(graph), x), wanted_of(graph, x), atol=0.031
    )


@pytest.mark.parametrize("name", PAST)
def test_other_poolings_stay(name: str) -> None:
    others: dict[str, Any] = {one: value for one, value in PAST.items() if one != name}
    graph = pooling(**others)
    assert with_float_means(graph) is graph


def test_what_is_added_is_a_part_of_the_pooling_in_breakdowns() -> None:
    answers("onnxruntime", pooling(**PAST), quantized=True)  # which checks the breakdown

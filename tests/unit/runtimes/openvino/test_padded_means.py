"""Means that count their padding count zeros, and no more than there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of, wanted_of
from rounded_pooling import pictures, pooling

from perfsuite.runtimes.openvino.padded_means import keep_means_right

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

PADDED = {"pads": [1, 1, 1, 1]}
COUNTED = {**PADDED, "count_include_pad": 1}
SAME = {"auto_pad": "SAME_UPPER", "count_include_pad": 1}
PAST = {**COUNTED, "ceil_mode": 1}


@pytest.mark.parametrize(
    "settings",
    [
        COUNTED,
        SAME,
        PAST,
        {**PAST, "zero": None},
        {**PAST, "rounded": False},
        {"own_padding": True},
        {"own_padding": True, "ceil_mode": 1},
        {**COUNTED, "zero": 0},
        PADDED,
    ],
)
def test_padding_counts_as_zeros(settings: dict[str, Any], tmp_path: Path) -> None:
    graph, x = pooling(**settings), pictures()
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=0.031)


def test_means_in_branches_are_found(tmp_path: Path) -> None:
    graph, x = inside_branch(pooling(**COUNTED)), pictures()
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=0.031)


def kept(graph: onnx.ModelProto) -> int:
    """Return how many means are kept in float, asked twice."""
    model = openvino.Core().read_model(graph.SerializeToString())
    for _ in range(2):
        keep_means_right(model)
    return sum(layer.get_type_name() == "Maximum" for layer in model.get_ordered_ops())


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        (COUNTED, 1),
        (PAST, 1),
        ({**PAST, "zero": None}, 1),
        ({**COUNTED, "zero": None}, 0),
        ({**COUNTED, "zero": 0}, 0),  # zeros are what integers of zero stand for
        (PADDED, 0),
        ({"own_padding": True}, 1),
        ({"own_padding": True, "zero": 0}, 0),
        ({}, 0),
    ],
)
def test_only_what_would_be_wrong_is_kept_in_float(settings: dict[str, Any], count: int) -> None:
    assert kept(pooling(**settings)) == count

"""Grouped convolutions of three sides pad with values of zero, whatever the zero point is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of, wanted_of
from rounded_groups import grouped, volumes

from perfsuite.runtimes.openvino.padded_groups import keep_padding_zero

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

PADDED = {"pads": [1] * 6}


@pytest.mark.parametrize(
    ("channels", "settings"),
    [
        ((2, 3), PADDED),
        ((1, 2), PADDED),
        ((4, 3), PADDED),
        ((4, 4), PADDED),
        ((1, 1), PADDED),
        ((2, 2), {"auto_pad": "SAME_UPPER"}),
        ((2, 2), {"own_padding": True}),
        ((2, 2), {}),
    ],
)
def test_padding_is_zero(
    channels: tuple[int, int], settings: dict[str, Any], tmp_path: Path
) -> None:
    graph, x = grouped(*channels, **settings), volumes(channels[0])
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * float(np.abs(wanted).max()))


def test_groups_in_branches_are_found(tmp_path: Path) -> None:
    graph, x = inside_branch(grouped(**PADDED)), volumes(2)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * float(np.abs(wanted).max()))


@pytest.mark.parametrize(
    ("channels", "settings", "count"),
    [
        ((2, 3), PADDED, 1),
        ((2, 3), {**PADDED, "zero": 0}, 0),
        ((2, 3), {}, 0),
        ((1, 1), PADDED, 0),
        ((4, 8), PADDED, 0),
    ],
)
def test_only_what_would_be_wrong_is_kept_in_float(
    channels: tuple[int, int], settings: dict[str, Any], count: int
) -> None:
    graph = grouped(*channels, **settings)
    model = openvino.Core().read_model(graph.SerializeToString())
    for _ in range(2):
        keep_padding_zero(model)
    assert sum(layer.get_type_name() == "Maximum" for layer in model.get_ordered_ops()) == count

"""All that OpenVINO would answer wrongly, or fail to compile, changed in a model."""

from __future__ import annotations

from typing import Any

from perfsuite.runtimes.openvino.joined_shifts import keep_joins_apart
from perfsuite.runtimes.openvino.moved_scales import keep_scales_before
from perfsuite.runtimes.openvino.padded_integers import keep_padding_zero
from perfsuite.runtimes.openvino.padded_means import keep_means_right
from perfsuite.runtimes.openvino.rounded_reductions import keep_reductions_float
from perfsuite.runtimes.openvino.rounded_results import keep_results_apart
from perfsuite.runtimes.openvino.swapped_heads import keep_swaps_apart
from perfsuite.runtimes.openvino.touching_boxes import keep_boxes_that_touch

_CHANGES = (
    keep_swaps_apart,
    keep_means_right,
    keep_padding_zero,
    keep_scales_before,
    keep_reductions_float,
    keep_results_apart,
    keep_joins_apart,
    keep_boxes_that_touch,
)


def keep_right(model: Any) -> None:
    """Change an OpenVINO model where the engine would answer wrongly; what it knows of it decides.

    Sides that are open may be known later: then it may be asked again.
    """
    for change in _CHANGES:
        change(model)

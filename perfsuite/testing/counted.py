"""What of a model's arithmetic perfsuite cannot count, told before anything is measured."""

from __future__ import annotations

import warnings

from perfsuite.domain.workload import Workload
from perfsuite.export.wrappers import unwrapped
from perfsuite.measure.macs import count_graph, count_module


def warn_of_uncounted(workload: Workload) -> None:
    """Warn of operators of the model that may compute and that no formula counts.

    Its MACs are then "at least", and budgets on them, or on what of fewer is realised, cannot pass.
    """
    model = workload.model
    inputs = workload.task.inputs(model.batch or 1, 0)
    if model.onnx is not None:
        counted = count_graph(model.onnx, inputs)
    elif model.build is not None:
        counted = count_module(unwrapped(model.build()), inputs)
    else:
        return
    if counted.uncounted:
        named = ", ".join(f"{number} {name}" for name, number in sorted(counted.uncounted.items()))
        warnings.warn(
            f"workload '{workload.name}': its MACs are only a part, as there is no formula for "
            f"{named}; budgets on `macs` and `min_realised` cannot pass",
            stacklevel=3,
        )

"""What an ONNX file has that cells are labelled with, or that a recipe refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from perfsuite.domain.record import INT8_ALREADY
from perfsuite.domain.task import Inputs
from perfsuite.domain.workload import Workload
from perfsuite.export.onnx import load_graph
from perfsuite.export.own_precision import own_precisions
from perfsuite.runner.build.reference import graph_outputs


def remarks(workload: Workload, path: Path, inputs: Inputs) -> Iterator[str]:
    """Yield sentences on the file at `path`, of a workload that gives it these `inputs`."""
    model, task = workload.model, workload.task
    for label in own_precisions(load_graph(path)).labels:
        refused = "; recipe int8 is refused: give it the float model" * (label == INT8_ALREADY)
        yield f"{label}: it is timed as it is{refused}"
    if model.why_batch:
        yield (
            f"it takes calls of {model.batch} alone, as a trial has found ({model.why_batch}); "
            f"cells of another batch are unsupported"
        )
    for place, output in enumerate(graph_outputs(path, inputs)):
        if output.dtype.kind != "f":
            continue
        if np.isnan(output).any():
            samples = "give samples, which decide" if task.made_up else "a run fails of that"
            yield f"its output {place} has NaN on what task.inputs gives: {samples}"
        if np.isinf(output).any():
            yield (
                f"its output {place} has infinite values: if they are no mask's, look at its "
                f"weights; what layers read must be finite to be rounded to INT8"
            )

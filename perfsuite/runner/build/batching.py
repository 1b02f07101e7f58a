"""Whether a model takes several samples in one call, found out by trying it once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from perfsuite.domain.model import InputSpec
from perfsuite.domain.task import Inputs
from perfsuite.domain.workload import Workload
from perfsuite.errors import Unsupported
from perfsuite.runner.build.reference import graph_outputs
from perfsuite.runtimes.shared.base import trimmed

# Two answers are alike if at most this share of their numbers differs by more than this part of the
# largest one: of two nearly equal scores either may come first, and then whole rows differ.
MAY_DIFFER, TOLERANCE = 0.1, 1e-3
WHY = "why.txt"


def batch_axis(item: InputSpec) -> int | None:
    """Return which axis of an input counts samples; None for one that all samples share."""
    return item.shape.index("batch") if "batch" in item.shape else None


def chosen(
    inputs: Inputs, spec: Sequence[InputSpec], samples: Sequence[int] | np.ndarray
) -> Inputs:
    """Return these samples of `inputs`; what all samples share stays as it is."""
    axes = {item.name: batch_axis(item) for item in spec}
    return {
        name: array
        if (axis := axes.get(name)) is None
        else np.ascontiguousarray(np.take(array, samples, axis))
        for name, array in inputs.items()
    }


def count_samples(inputs: Inputs, spec: Sequence[InputSpec]) -> int:
    """Return how many samples there are in `inputs`; 1 if none of them counts samples."""
    for item in spec:
        axis = batch_axis(item)
        if axis is not None and item.name in inputs:
            return int(inputs[item.name].shape[axis])
    return 1


def singles(batches: Iterator[Inputs], spec: Sequence[InputSpec]) -> Iterator[Inputs]:
    """Yield the samples of `batches` one by one."""
    for inputs in batches:
        for index in range(count_samples(inputs, spec)):
            yield chosen(inputs, spec, [index])


def spec_of(workload: Workload) -> tuple[InputSpec, ...]:
    """Return the inputs of an ONNX workload, as its file has them or as they were settled."""
    from perfsuite.export.onnx import graph_spec, load_graph

    path = workload.model.onnx
    return workload.model.inputs or (graph_spec(load_graph(path))[0] if path is not None else ())


def try_two(workload: Workload, folder: Path) -> None:
    """Write into `folder` why a call of an ONNX workload takes one sample alone; '' otherwise.

    It is otherwise if calls take several, and if its inputs have a fixed batch.
    """
    path, spec, why = workload.model.onnx, spec_of(workload), ""
    if path is not None and any(batch_axis(item) is not None for item in spec):
        why = why_one_at_a_time(path, spec, workload.task.inputs(2, 0))
    (folder / WHY).write_text(why)


def why_one_at_a_time(graph: Path, spec: Sequence[InputSpec], two: Inputs) -> str:
    """Return why a call of a graph takes one sample alone; '' if it takes several.

    `two` samples are answered in one call and in two. A graph whose own inside has a batch of one
    fails on both together, or answers as for one. What cannot be tried is not doubted, nor are
    outputs whose first dimension counts something else, such as detections.
    """
    try:
        first, second = (graph_outputs(graph, chosen(two, spec, [index])) for index in (0, 1))
    except Exception:  # noqa: BLE001 - it fails on one sample too, which parity will tell
        return ""
    try:
        both = graph_outputs(graph, two)
    except (Unsupported, MemoryError):
        return ""
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors have no common class
        return f"two samples in one call fail: {trimmed(str(error))}"
    for place, parts in enumerate(zip(first, second, both, strict=True)):
        if told := _mixed(*parts):
            return f"of two samples in one call output {place} {told}"
    return ""


def _mixed(first: np.ndarray, second: np.ndarray, both: np.ndarray) -> str:
    """Return how one output of two samples contradicts those of each; '' if it does not."""
    single = first.shape
    if not single or single != second.shape or single[0] != 1:
        return ""  # it counts no samples, or there may be any number of them
    if both.shape == (2, *single[1:]):
        alike = same(np.concatenate([first, second]), both)
        return "" if alike else "is another than that of each alone"
    if both.shape == single and same(first, second) and same(first, both):
        return ""  # a constant, such as the places of anchors
    if both.shape[:1] == (1,):
        return f"has the shape {both.shape}, as if they were one"
    return ""


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two arrays of one shape hold the same, but for what rounding makes of it."""
    if not one.size or np.array_equal(one, other):
        return True
    if one.dtype.kind not in "fiub":
        return False
    a, b = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    limit = TOLERANCE * float(np.abs(a[finite]).max(initial=0.0))
    with np.errstate(invalid="ignore"):  # infinity minus itself
        far = np.abs(a - b) > limit
    # NaN and infinities agree where both are the same of them.
    differ = np.where(finite, far, ~((a == b) | (np.isnan(a) & np.isnan(b))))
    return float(differ.mean()) <= MAY_DIFFER

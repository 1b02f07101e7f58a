"""Whether a graph answers as another does, before anything of it is rounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.bodies import bodies, names_read
from perfsuite.export.edges import at_edges
from perfsuite.export.noise import noise_floors
from perfsuite.export.parity import TOLERANCES

if TYPE_CHECKING:
    import onnx

# Operators whose result may jump where their input changes by as little as a rounding error: two
# detections of nearly the same score change places.
_JUMPS = (
    "ArgMax", "ArgMin", "Ceil", "Compress", "Equal", "Floor", "Greater", "GreaterOrEqual",
    "Hardmax", "If", "Less", "LessOrEqual", "Loop", "NonMaxSuppression", "NonZero", "Round", "Scan",
    "Sign", "TopK", "Unique",
)  # fmt: skip


_LACKS_OPERATOR = "is not a registered function/op"


def difference(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    samples: Sequence[Inputs],
    tensors: Sequence[str],
) -> str:
    """Return which of `tensors` differs first between two graphs, and by how much; "" if none does.

    Both graphs have all tensors. Values differ if max|a-b| exceeds max|b| times the tolerance of
    fp32, unless that is no more than the rounding errors of `before`, or whole numbers at an edge;
    NaN and infinities must be equal. An `after` that does not run at all differs. Raises
    `Unsupported` for a graph with an operator that ONNX Runtime lacks, and `BuildError` for another
    that it does not run.
    """
    if not samples or not tensors:
        return ""
    try:
        expected = answers_of(before, samples, tensors)
    except Exception as error:
        if _LACKS_OPERATOR in str(error):
            raise Unsupported(
                f"int8: it is calibrated on ONNX Runtime, which lacks an operator of the graph "
                f"({error}); export the model without it, such as a detector without its "
                f"post-processing"
            ) from error
        raise BuildError(f"int8: ONNX Runtime cannot run this graph: {error}") from error
    try:
        answered = answers_of(after, samples, tensors)
    except Exception as error:  # noqa: BLE001  (ONNX Runtime's errors have no common class)
        return f"it does not run: {error}"
    for inputs, one, other in zip(samples, expected, answered, strict=True):
        told = [_differs(b, a) for b, a in zip(one, other, strict=True)]
        if any(told):
            floors = noise_floors(
                lambda given: answers_of(before, [given], tensors)[0], inputs, one
            )
            told = [_differs(*each) for each in zip(one, other, floors, strict=True)]
        for name, said in zip(tensors, told, strict=True):
            if said:
                return f"'{name}': {said}"
    return ""


def steady(before: onnx.GraphProto, after: onnx.GraphProto) -> list[str]:
    """Return the tensors of both graphs from which all else follows, and none that may jump.

    They are the outputs that follow from the inputs without an operator that may jump, and where
    there is one, what the first such operators read.
    """
    behind: set[str] = set()
    found: dict[str, None] = {}
    made = {name for node in after.node for name in node.output if name}
    for node in before.node:
        read = [*node.input, *(name for body in bodies(node) for name in names_read(body))]
        jumps = node.op_type in _JUMPS
        if jumps:
            found.update(dict.fromkeys(name for name in read if name not in behind))
        if jumps or behind.intersection(read):
            behind.update(node.output)
    found.update(dict.fromkeys(one.name for one in before.output if one.name not in behind))
    own = {name for node in before.node for name in node.output if name}
    return [name for name in found if name in made and name in own]


def _differs(b: Any, a: Any, floor: float = 0.0) -> str:
    """Return how the answers `a` differ from `b`; "" if they do not, within the tolerance.

    Differences up to `floor` mean nothing.
    """
    if not isinstance(b, np.ndarray) or not isinstance(a, np.ndarray):
        return "" if repr(b) == repr(a) else "it holds something else"
    if b.shape != a.shape:
        return f"its shape is {a.shape}, and was {b.shape}"
    if at_edges(b, a, TOLERANCES["fp32"]) is not None:
        return ""
    if not np.issubdtype(b.dtype, np.number):
        return "" if np.array_equal(b, a) else "it holds something else"
    b, a = b.astype(np.float64), a.astype(np.float64)
    finite = np.isfinite(b)
    if (
        not np.array_equal(b[~finite], a[~finite], equal_nan=True)
        or not np.isfinite(a[finite]).all()
    ):
        return "other values are infinite or NaN"
    scale = float(np.abs(b[finite]).max(initial=0.0)) or 1.0
    largest = float(np.abs(a[finite] - b[finite]).max(initial=0.0)) / scale
    if largest <= max(TOLERANCES["fp32"], floor / scale):
        return ""
    return f"max|a-b|/max|b| = {largest:.3g}, the tolerance is {TOLERANCES['fp32']:g}"


def answers_of(
    model: onnx.ModelProto, samples: Sequence[Inputs], tensors: Sequence[str]
) -> list[list[Any]]:
    """Return the `tensors` for each sample, by ONNX Runtime without its optimizations.

    Raises what ONNX Runtime does, whose errors have no common class.
    """
    import onnx
    import onnxruntime as ort

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {value.name for value in copy.graph.output}
    copy.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in tensors if name not in known
    )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(
        copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [session.run(list(tensors), inputs) for inputs in samples]

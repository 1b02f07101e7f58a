"""Whether an engine answers a rounded graph as it stands, where its answers are far from fp32's.

Rounding may cost that much; then the graph, run as it is, is as far from fp32. An engine that alone
is far off computes something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perfsuite.domain.record import Likeness
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.errors import BuildError, ParityError, Unsupported
from perfsuite.runner.build.likeness import likeness
from perfsuite.runner.build.reference import graph_outputs

_DOUBTED = 0.95  # of a cosine to fp32, below which the graph is asked
_FURTHER = 0.2  # in cosine, than the graph itself
_ERROR, _TIMES = 0.5, 3.0  # of the relative error, alone and as a multiple of the graph's


def require_as_graph(
    task: Task,
    manifest: Manifest,
    graph: Path,
    given: Sequence[Inputs],
    expected: Sequence[Outputs],
    found: Sequence[Likeness],
) -> None:
    """Raise `ParityError` if an engine is much further from the `expected` answers than the graph.

    `found` is the likeness of the engine's answers to `given`. Nothing is asked where it is near
    enough, and nothing said where ONNX Runtime does not run the graph.
    """
    if not any(one.cosine is not None and one.cosine < _DOUBTED for one in found):
        return
    try:
        answered = [graph_outputs(graph, one) for one in given]
    except (Unsupported, BuildError):
        return
    for one, own in zip(found, likeness(task, manifest, expected, answered), strict=False):
        if told := _further(one, own):
            raise ParityError(
                f"output '{one.output}': {manifest.runtime} computes something else than the "
                f"quantized graph: {told}; this is no loss by rounding but a fault of the engine: "
                f"take another version of it, or another engine"
            )


def _further(one: Likeness, own: Likeness) -> str:
    """Return how much further an engine is than the graph itself; "" if it is not."""
    if one.cosine is None or own.cosine is None:
        return ""
    error, least = one.relative_error or 0.0, own.relative_error or 0.0
    if error <= max(_ERROR, _TIMES * least) or one.cosine >= own.cosine - _FURTHER:
        return ""
    return (
        f"its cosine to fp32 is {one.cosine:.3g}, that of the graph run as it stands "
        f"{own.cosine:.3g}"
    )

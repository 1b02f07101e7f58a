"""Whether an engine answers a rounded graph as it stands, where its answers are far from fp32's.

Rounding may cost that much; then the graph, run as it is, is as far from fp32. An engine that alone
is far off computes something else. Where none did, the errors of two engines on graphs of their own
were within a factor of 1.35 of each other in 46 nets of `benchmarks/zoo.py`.
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

_DOUBTED = 0.1  # of the relative error to fp32, above which the graph is asked
_TIMES = 2.0  # the graph's own error


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
    if not any((one.relative_error or 0.0) > _DOUBTED for one in found):
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
    error, least = one.relative_error, own.relative_error
    if error is None or least is None or error <= max(_DOUBTED, _TIMES * least):
        return ""
    return (
        f"its relative error to fp32 is {error:.3g} (cosine {one.cosine:.3g}), that of the graph "
        f"run as it stands {least:.3g} (cosine {own.cosine:.3g})"
    )

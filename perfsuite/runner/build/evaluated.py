"""The answers of an ONNX file where ONNX Runtime does not run it: by ONNX's own implementation.

That is written in Python to be read, and takes seconds for what an engine does in a millisecond.
"""

from __future__ import annotations

from pathlib import Path

from perfsuite.domain.task import Inputs, Outputs

_MOST_MACS = 10**8  # of a call; a larger one would take minutes


def evaluated(graph: Path, inputs: Inputs) -> Outputs | None:
    """Return the answers of ONNX's implementation; None if it has none, or it would take long."""
    from onnx.reference import ReferenceEvaluator

    from perfsuite.export.onnx import load_graph
    from perfsuite.export.values import arrays
    from perfsuite.measure.macs import count_graph

    model = load_graph(graph)
    if count_graph(model, inputs).macs > _MOST_MACS:
        return None
    try:
        return arrays(ReferenceEvaluator(model).run(None, inputs))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (it raises whatever an operator raises)
        return None

"""The answers of an ONNX file where ONNX Runtime does not run it: by ONNX's own implementation.

That is written in Python to be read, and takes seconds for what an engine does in a millisecond.
"""

from __future__ import annotations

from pathlib import Path

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.export.counting import count_nodes, together
from perfsuite.export.onnx import load_graph
from perfsuite.export.values import arrays

_MOST_MACS = 10**8  # of a call; a larger one would take minutes


def evaluated(graph: Path, inputs: Inputs) -> Outputs | None:
    """Return the answers of ONNX's implementation; None if it has none, or it would take long."""
    from onnx.reference import ReferenceEvaluator

    model = load_graph(graph)
    if together(count_nodes(model, inputs)[1]).macs > _MOST_MACS:
        return None
    try:
        return arrays(ReferenceEvaluator(model).run(None, inputs))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (it raises whatever an operator raises)
        return None

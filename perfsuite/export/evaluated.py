"""The answers of an ONNX file where ONNX Runtime does not run it: by ONNX's own implementation.

That is written in Python to be read, and takes seconds for what an engine does in a millisecond.
Of some operators it computes something else than their specification says (version 1.23): these
ONNX Runtime computes, node by node.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.export.bodies import every_node, names_made, unused_name
from perfsuite.export.counting import count_nodes, together
from perfsuite.export.onnx import load_graph
from perfsuite.export.values import arrays

if TYPE_CHECKING:
    import onnx

_MOST_MACS = 10**8  # of a call; a larger one would take minutes
_MISREAD = frozenset(
    {
        "BatchNormalization",  # before opset 14 it takes the batch's own statistics
        "GRU", "LSTM", "RNN",  # lengths, clip, activations, input_forget are left out
        "Hardmax", "LogSoftmax", "Softmax",  # before opset 13 they are over one axis alone
        "LRN",  # as many channels as there are samples are divided
        "LpNormalization",  # sums of numbers and not of their sizes
        "LpPool", "MaxPool",  # windows past the edge, SAME_LOWER
    }
)  # fmt: skip


def evaluated(graph: Path, inputs: Inputs) -> Outputs | None:
    """Return the answers of ONNX's implementation; None if it has none, or it would take long."""
    from onnx.reference import ReferenceEvaluator

    model = load_graph(graph)
    if together(count_nodes(model, inputs)[1]).macs > _MOST_MACS:
        return None
    try:
        kinds = {node.op_type for node in every_node(model.graph)} & _MISREAD
        own = ReferenceEvaluator(_all_named(model), new_ops=[_by_engine(one) for one in kinds])
        return arrays(own.run(None, inputs))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (it raises whatever an operator raises)
        return None


def _all_named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, a copy, in which results that nothing reads have names, too.

    Under the empty name they would be given to every node that leaves an input out.
    """
    copy = type(model)()
    copy.CopyFrom(model)
    taken = names_made(copy.graph)
    for node in every_node(copy.graph):
        node.output[:] = [name or unused_name("unread", taken) for name in node.output]
    return copy


def _by_engine(kind: str) -> type[Any]:
    """Return the class of an operator, for ONNX's evaluator, that ONNX Runtime computes."""
    from onnx.reference.op_run import OpRun

    def run(self: Any, *given: np.ndarray | None, **_: Any) -> tuple[np.ndarray, ...]:
        return _alone(self.onnx_node, self.run_params["opsets"], given)

    return type(kind, (OpRun,), {"op_domain": "", "_run": run})


def _alone(
    node: onnx.NodeProto, opsets: dict[str, int], given: Sequence[np.ndarray | None]
) -> tuple[np.ndarray, ...]:
    """Return the results of a node, as ONNX Runtime computes it in a graph of its own."""
    import onnxruntime as ort
    from onnx import ValueInfoProto, helper

    feeds = {
        name: array for name, array in zip(node.input, given, strict=True) if array is not None
    }
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(one.dtype), one.shape)
        for name, one in feeds.items()
    ]
    results = [ValueInfoProto(name=name) for name in node.output]
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    model = helper.make_model(
        helper.make_graph([node], "node", values, results), opset_imports=imports, ir_version=10
    )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # only fatal; errors are raised as exceptions
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return tuple(session.run(None, feeds))

"""The answers of the model itself, with which every export and engine is compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.domain.runtime import Variant
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.errors import ParityError, PerfsuiteError, Unsupported
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from torch import nn


def module_outputs(module: nn.Module, inputs: Inputs) -> Outputs:
    """Return the answers of the module in eager mode, in float32.

    Raises `BuildError`, with the shapes of the inputs, if its forward fails.
    """
    from perfsuite.runtimes.pytorch.runtime import run_module

    given = ", ".join(f"{name} {item.dtype} {item.shape}" for name, item in inputs.items())
    with user_code(f"{type(module).__name__}: its forward on what inputs() gives ({given})"):
        return run_module(module, inputs)


def graph_outputs(graph: Path, inputs: Inputs) -> Outputs:
    """Return the answers of ONNX Runtime for the graph, without graph optimizations."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except ort.capi.onnxruntime_pybind11_state.NotImplemented as error:
        raise Unsupported(f"{graph.name}: {str(error)[:300]}") from error
    return list(session.run(None, inputs))


def reference_outputs(variant: Variant, inputs: Inputs) -> Outputs:
    """Return the answers of the module or, if the model is an ONNX file, of the graph."""
    if variant.rebuild is not None:
        return module_outputs(variant.rebuild(), inputs)
    if variant.graph is None:
        raise ValueError("a variant without a module and without a graph has no answers")
    return graph_outputs(variant.graph, inputs)


def differences(
    task: Task, expected: Outputs, answered: Outputs, names: Sequence[str], precision: str
) -> dict[str, float]:
    """Return the difference of each output from the model's answers.

    It is the task's own measure if it has one, as for sets of detections; else arrays are compared
    element by element. Raises `ParityError` if they differ too much.
    """
    from perfsuite.export.parity import parity

    own = task.agreement(expected, answered, precision)
    return parity(expected, answered, names, precision) if own is None else own


def check_export(module: nn.Module, graph: Path, samples: Sequence[Inputs], task: Task) -> None:
    """Raise `ParityError` unless the exported graph answers all samples as the module does."""
    from perfsuite.export.onnx import graph_spec, load_graph

    _, names = graph_spec(load_graph(graph))
    for inputs in samples:
        expected = module_outputs(module, inputs)
        try:
            answered = graph_outputs(graph, inputs)
        except (PerfsuiteError, MemoryError):
            raise
        except Exception as error:  # ONNX Runtime's errors have no common class
            raise ParityError(
                f"the exported graph fails on an input that the module answers: {error}"
            ) from error
        differences(task, expected, answered, names, "fp32")

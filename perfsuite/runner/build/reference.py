"""The answers of the model itself, with which every export and engine is compared."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.domain.runtime import Variant
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.errors import BuildError, ParityError, Unsupported
from perfsuite.runner.build.forward_hints import forward_hint
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from torch import nn

_PROVIDER = "CPUExecutionProvider"
OVERFLOW = (
    "two of its 8-bit products may overflow the 16 bits in which this processor, which has no "
    "VNNI, adds them: give the weights 7 bits, as the pass int8 does here, or "
    "onnxruntime.quantization with reduce_range"
)
# Said where an engine alone answers otherwise.
ENGINES_FAULT = "a fault of the engine: take another version of it, or another engine"
# Said where the model itself answers otherwise.
TIES = (
    "; the model's own answers differ, too, where a rounding error changes its inputs, or what it "
    "chooses the best of: they hang on ties, such as two scores that are next to equal, and no "
    "engine has to decide these alike. Give samples, and trained weights, where they are clear"
)

_CORNERS = 4  # numbers of a box
_AGREEMENT = (
    "these look like detections, whose order and number may change with rounding: to have them "
    "compared as sets, give the task a method agreement(expected, answered, precision) "
    "(perfsuite.Task.agreement), or name the layout of an ONNX file in a suite's [detection.NAME]"
)


def module_outputs(module: nn.Module, inputs: Inputs) -> Outputs:
    """Return the answers of the module in eager mode, in float32.

    Raises `BuildError`, with the shapes of the inputs, if its forward fails.
    """
    from perfsuite.runtimes.pytorch.runtime import run_module

    try:
        whose = f"{type(module).__name__}: its forward on what inputs() gives ({told(inputs)})"
        with user_code(whose):
            return run_module(module, inputs)
    except BuildError as error:
        hint = forward_hint(module, inputs)
        if not hint:
            raise
        raise BuildError(f"{error}; {hint}") from error


def graph_outputs(graph: Path, inputs: Inputs, operators: Sequence[str] = ()) -> Outputs:
    """Return the answers of ONNX Runtime for the graph, without graph optimizations.

    `operators` are the libraries of custom operators. Raises `Unsupported` for a graph that cannot
    be loaded, `BuildError` for one that fails on the inputs.
    """
    return graph_answers(graph, [inputs], operators)[0]


def graph_answers(
    graph: Path, calls: Sequence[Inputs], operators: Sequence[str] = ()
) -> list[Outputs]:
    """Return what `graph_outputs` does, for several calls of one session."""
    from perfsuite.runtimes.onnxruntime.outputs import check_types
    from perfsuite.runtimes.shared.base import trimmed

    try:
        session = _unoptimized(graph, operators)
    except Exception as error:  # ONNX Runtime's errors have no common class
        raise Unsupported(f"onnxruntime cannot load {graph.name}: {trimmed(str(error))}") from error
    check_types(session.get_outputs())
    return [_answer(graph, session, inputs) for inputs in calls]


def tied_answers(
    graph: Path, calls: Sequence[Inputs], operators: Sequence[str] = ()
) -> list[Outputs] | None:
    """Return what `graph_answers` does, of the graph with its ties decided otherwise.

    It is None where the graph chooses nothing, or is not run so.
    """
    import onnx

    from perfsuite.export.onnx import load_graph
    from perfsuite.export.other_ties import with_other_ties
    from perfsuite.store.temporary import TemporaryFolder

    model = with_other_ties(load_graph(graph))
    if model is None:
        return None
    with TemporaryFolder() as folder:
        path = Path(folder) / graph.name
        onnx.save(model, path)
        try:
            return graph_answers(path, calls, operators)
        except (BuildError, Unsupported):
            return None


def ties_decide(
    graph: Path,
    calls: Sequence[Inputs],
    compare: Callable[[list[Outputs]], object],
    operators: Sequence[str] = (),
) -> bool:
    """Tell whether a graph's own answers to calls differ where its ties are decided otherwise.

    `compare` raises `ParityError` for answers that differ.
    """
    tied = tied_answers(graph, calls, operators)
    if tied is None:
        return False
    try:
        compare(tied)
    except ParityError:
        return True
    return False


def _answer(graph: Path, session: Any, inputs: Inputs) -> Outputs:
    from perfsuite.export.values import arrays
    from perfsuite.runtimes.shared.base import trimmed

    try:
        return arrays(session.run(None, inputs))
    except MemoryError:
        raise
    except Exception as error:
        raise BuildError(
            f"{graph.name} fails on these inputs ({told(inputs)}), as onnxruntime runs it without "
            f"optimizations: {trimmed(str(error))}"
        ) from error


def _unoptimized(graph: Path, operators: Sequence[str]) -> Any:
    """Return a session on the graph; what it does not take of the file, as `load_graph` gives it.

    So nodes of one name are told apart.
    """
    import onnxruntime as ort

    from perfsuite.export.onnx import load_graph

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # only fatal; errors are raised as exceptions
    for library in operators:
        options.register_custom_ops_library(library)
    try:
        return ort.InferenceSession(str(graph), options, providers=[_PROVIDER])
    except Exception:  # noqa: BLE001 - its errors have no common class
        content = load_graph(graph).SerializeToString()
        return ort.InferenceSession(content, options, providers=[_PROVIDER])


def told(inputs: Inputs) -> str:
    """Return the name, type and shape of each input."""
    return ", ".join(f"{name} {item.dtype} {item.shape}" for name, item in inputs.items())


def reference_outputs(variant: Variant, inputs: Inputs, operators: Sequence[str] = ()) -> Outputs:
    """Return the answers of the module or, if the model is an ONNX file, of the graph."""
    if variant.rebuild is not None:
        return module_outputs(variant.rebuild(), inputs)
    if variant.graph is None:
        raise ValueError("a variant without a module and without a graph has no answers")
    return file_outputs(variant.graph, inputs, operators)


def file_outputs(graph: Path, inputs: Inputs, operators: Sequence[str] = ()) -> Outputs:
    """Return the answers of ONNX Runtime for a file or, if it fails, of ONNX's implementation.

    Raises what `graph_outputs` does where that does not run a small graph, either.
    """
    from perfsuite.export.evaluated import evaluated

    try:
        return graph_outputs(graph, inputs, operators)
    except (BuildError, Unsupported) as error:
        found = evaluated(graph, inputs)
        if found is None:
            raise
        warnings.warn(
            f"answers are compared with those of ONNX's reference implementation, because {error}",
            stacklevel=2,
        )
        return found


def differences(
    task: Task,
    expected: Outputs,
    answered: Outputs,
    names: Sequence[str],
    precision: str,
    floors: Callable[[], Sequence[float]] = tuple,
) -> dict[str, float]:
    """Return the difference of each output from the model's answers.

    It is the task's own measure if it has one, as for sets of detections; else arrays are compared
    element by element, but for the order of detections with equal scores, masks that lie a pixel
    further, and what `floors` says that means nothing, in scores too, which are asked for only
    where answers differ. Raises `ParityError` if they differ too much.
    """
    from perfsuite.export.parity import parity

    own = task.agreement(expected, answered, precision)
    if own is not None:
        return own
    try:
        return parity(expected, answered, names, precision)
    except ParityError as error:
        for limits in ((), floors()) if len(expected) == len(answered) else ():
            for found in _without_meaningless(expected, answered, precision, limits):
                with suppress(ParityError):
                    return parity(expected, found, names, precision, limits)
        if not are_detections(expected):
            raise
        raise ParityError(f"{error}; {_AGREEMENT}") from error


def _without_meaningless(
    expected: Outputs, answered: Outputs, precision: str, limits: Sequence[float]
) -> Iterator[Outputs]:
    """Yield the answers in the order of those that are expected, then with masks in place.

    With `limits`, which were not held against them yet, they come as they are first.
    """
    from perfsuite.export.parity import TOLERANCES
    from perfsuite.export.pasted import in_same_place
    from perfsuite.export.ties import in_same_order

    tolerance = TOLERANCES[precision]
    if limits:
        yield answered
    ordered = in_same_order(expected, answered, tolerance, limits)
    if ordered is not None:
        yield ordered
    placed = in_same_place(expected, ordered or answered, tolerance, limits)
    if placed is not None:
        yield placed


def are_detections(outputs: Outputs) -> bool:
    """Tell whether answers look like boxes with a number for each, such as scores or labels."""
    shapes = [output.shape for output in outputs]
    boxes = [shape for shape in shapes if len(shape) >= 2 and shape[-1] == _CORNERS]
    return any(shape[:-1] in shapes for shape in boxes)


def check_export(module: nn.Module, graph: Path, samples: Sequence[Inputs], task: Task) -> None:
    """Raise `ParityError` unless the exported graph answers all samples as the module does.

    Of a graph that rounds by itself, as that of a module with fake quantization does, the answers
    may differ by what rounding to the next step makes of them. The error names the lines of
    `forward` of which the graph keeps what one input gave.
    """
    from perfsuite.export.frozen import naming_frozen
    from perfsuite.export.onnx import graph_spec, load_graph
    from perfsuite.export.own_precision import own_precisions
    from perfsuite.export.parity import looser

    exported = load_graph(graph)
    names, precision = graph_spec(exported)[1], looser("fp32", own_precisions(exported).values)
    for inputs in samples:
        expected = module_outputs(module, inputs)
        with naming_frozen([graph]):
            answered = _exported_outputs(graph, inputs)
            _check_answers(task, module, inputs, expected, answered, names, precision)


def _check_answers(
    task: Task,
    module: nn.Module,
    inputs: Inputs,
    expected: Outputs,
    answered: Outputs,
    names: Sequence[str],
    precision: str,
) -> None:
    from perfsuite.export.noise import noise_floors, rounding_decides

    own = partial(module_outputs, module)
    floors = partial(noise_floors, own, inputs, expected)

    def compare(answers: Sequence[Outputs]) -> None:
        differences(task, expected, answers[0], names, precision, floors)

    try:
        compare([answered])
    except ParityError as error:
        ties = TIES if rounding_decides(own, [inputs], compare) else ""
        raise ParityError(
            f"the exported graph answers otherwise than the module: {error}{ties}"
        ) from error


def _exported_outputs(graph: Path, inputs: Inputs) -> Outputs:
    try:
        return graph_outputs(graph, inputs)
    except BuildError as error:
        raise ParityError(
            f"the exported graph fails on an input that the module answers: {error}"
        ) from error

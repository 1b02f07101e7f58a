"""The ranges of a graph's tensors over calibration samples, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, ConfigError
from perfsuite.export.float_weights import with_float_weights
from perfsuite.export.kept_layouts import with_kept_layouts
from perfsuite.passes.int8.sharing import Range

if TYPE_CHECKING:
    import onnx

_STATISTICS = ("ReduceMin", "ReduceMax", "ReduceSum")


def ranges_of(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    batches: Iterable[Inputs],
    progress: Callable[[int], None],
) -> dict[str, Range]:
    """Return the least and the greatest value of each of `tensors` over all `batches`.

    The graph is run with reductions added, so that a batch gives three numbers for each tensor:
    memory depends on the largest batch and not on the number of batches. `progress(done)` is called
    after every batch with the samples seen so far. For a model with a fixed first dimension,
    batches are cut into pieces of that length. Raises `ConfigError` when there are
    no samples, `BuildError` naming the tensor that has NaN or infinite values.
    Minus infinity makes a range that begins there; a tensor that never had a value may have any.
    """
    session = open_graph(_reduced(model, tensors))
    lengths = first_sides(model)
    ranges: dict[str, Range] = {}
    done = 0
    for batch in batches:
        for piece in _pieces(batch, lengths):
            values = iter(run_graph(session, piece))
            for name in tensors:
                low, high, total = (float(next(values)) for _ in _STATISTICS)
                if low > high and total == 0.0:  # no values, as where nothing was detected
                    continue
                _check_numbers(name, low, high, total)
                before = ranges.get(name, (low, high))
                ranges[name] = min(low, before[0]), max(high, before[1])
        done += _samples(batch, lengths)
        progress(done)
    if not done:
        raise ConfigError(
            "int8: the task yields no calibration samples; let calibration(samples) yield some"
        )
    return {name: ranges.get(name, (-math.inf, math.inf)) for name in tensors}


def means_of(model: onnx.ModelProto, batches: Iterable[Inputs]) -> list[np.ndarray]:
    """Return the means of all outputs of `model` over `batches`, weighted by their samples.

    Memory depends on the largest batch. The list is empty if there are no samples.
    """
    session = open_graph(model)
    lengths = first_sides(model)
    sums: list[np.ndarray] = []
    done = 0
    for batch in batches:
        for piece in _pieces(batch, lengths):
            count = _samples(piece, lengths)
            found = [count * np.asarray(value, np.float64) for value in run_graph(session, piece)]
            sums = [one + other for one, other in zip(sums, found, strict=True)] if sums else found
            done += count
    return [total / done for total in sums]


def _reduced(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """Return a copy of `model` whose outputs are the statistics of `tensors` and nothing else."""
    from onnx import ModelProto, TensorProto, helper

    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    for index, tensor in enumerate(tensors):
        for operator in _STATISTICS:
            output = f"statistic_{index}_{operator}"
            # Without axes, a reduction is over all of them.
            copy.graph.node.append(helper.make_node(operator, [tensor], [output], keepdims=0))
            value = helper.make_tensor_value_info(output, TensorProto.FLOAT, [])
            copy.graph.output.append(value)
    return copy


def open_graph(model: onnx.ModelProto) -> Any:
    """Return a session of ONNX Runtime on `model`; raise `BuildError` if it takes it not.

    Layers with float weights are computed in float, as the graph says.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    # With it, the second batch would need memory for all its tensors beside the first one's.
    options.enable_mem_pattern = False
    try:
        return ort.InferenceSession(
            with_float_weights(with_kept_layouts(model)).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
    except Exception as error:
        raise BuildError(f"int8: ONNX Runtime cannot calibrate this graph: {error}") from error


def run_graph(session: Any, batch: Inputs) -> list[Any]:
    """Return all outputs of a call; raise `BuildError` if it fails."""
    try:
        results: list[Any] = session.run(None, batch)
    except Exception as error:
        raise BuildError(f"int8: a calibration batch cannot be run: {error}") from error
    return results


def first_sides(model: onnx.ModelProto) -> dict[str, int]:
    """Return the first dimension of each input that has one, 0 if it is dynamic.

    Some exporters write a dynamic one as -1.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    dims = {
        value.name: value.type.tensor_type.shape.dim
        for value in model.graph.input
        if value.name not in constants
    }
    return {name: max(0, int(sides[0].dim_value)) for name, sides in dims.items() if sides}


def _samples(batch: Inputs, lengths: Mapping[str, int]) -> int:
    """Return how many samples a batch has: those of the first input, in the model's order."""
    named = [name for name in lengths if name in batch] or list(batch)
    return len(batch[named[0]])


def _pieces(batch: Inputs, lengths: Mapping[str, int]) -> Iterator[Inputs]:
    """Yield `batch`, cut into pieces of as many samples as the model's first input is fixed to.

    An incomplete last piece is left out. An input of another length, which the model takes as it
    is, is the same for all samples and is not cut.
    """
    fixed, count = next(iter(lengths.values()), 0), _samples(batch, lengths)
    if fixed in (0, count):
        yield batch
        return
    whole = {
        name
        for name, array in batch.items()
        if array.shape[:1] != (count,) or lengths.get(name, 0) not in (0, fixed)
    }
    for start in range(0, count - fixed + 1, fixed):
        yield {
            name: array if name in whole else array[start : start + fixed]
            for name, array in batch.items()
        }


def pieces(model: onnx.ModelProto, batches: Iterable[Inputs]) -> Iterator[Inputs]:
    """Yield `batches`, or pieces of them as long as the model's fixed batch."""
    lengths = first_sides(model)
    return (piece for batch in batches for piece in _pieces(batch, lengths))


def first_piece(model: onnx.ModelProto, batches: Iterable[Inputs]) -> Inputs | None:
    """Return the first of `batches`, or a piece of it as long as the model's fixed batch."""
    return next(pieces(model, batches), None)


def check_fits(model: onnx.ModelProto, batch: Inputs) -> None:
    """Raise `ConfigError` for a calibration batch that lacks an input, or has one of another form.

    The first side is not looked at: it counts samples, and batches are cut.
    """
    from onnx.helper import tensor_dtype_to_np_dtype

    weights = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name in weights or not value.type.HasField("tensor_type"):
            continue
        if value.name not in batch:
            raise ConfigError(
                f"int8: the task's calibration() gives {_listed(batch)}, and the model takes "
                f"'{value.name}': give each input by its name, as the task's inputs() does"
            )
        kind, array = value.type.tensor_type, np.asarray(batch[value.name])
        sides = [side.dim_value for side in kind.shape.dim] if kind.HasField("shape") else None
        wanted = tensor_dtype_to_np_dtype(kind.elem_type)
        same = array.dtype == wanted or wanted.kind not in "biuf"  # texts have types of their own
        if same and (sides is None or _is_of(array.shape, sides)):
            continue
        shape = ", ".join(str(side) if side > 0 else "any" for side in sides or ())
        raise ConfigError(
            f"int8: the task's calibration() gives '{value.name}' as {array.dtype} {array.shape}, "
            f"and the model takes {wanted} ({shape}): let it give what the task's inputs() does"
        )


def _is_of(shape: tuple[int, ...], sides: Sequence[int]) -> bool:
    """Tell whether an array is of a shape, but for the first side and those that are open."""
    pairs = list(zip(shape, sides, strict=False))[1:]
    return len(shape) == len(sides) and all(side in (0, -1, one) for one, side in pairs)


def _listed(batch: Inputs) -> str:
    return ", ".join(f"'{name}'" for name in batch) or "nothing"


def _check_numbers(name: str, low: float, high: float, total: float) -> None:
    """Raise for NaN and infinity; minus infinity is what masks put in, so that a softmax gives 0.

    A minimum or a maximum may ignore a NaN; a sum does not.
    """
    if math.inf in (low, total) or not math.isfinite(high) or math.isnan(low) or math.isnan(total):
        kind = "NaN" if math.isnan(total) and math.isfinite(low + high) else "NaN or infinity"
        raise BuildError(
            f"int8: tensor '{name}' has the value {kind} on the calibration samples; "
            f"check the model's weights and the task's calibration()"
        )

"""An ONNX file as a workload: timed and profiled as it is, judged when it has labelled samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from perfsuite.data.labels import misfit
from perfsuite.domain.model import GivenShapes, InputSpec, Model
from perfsuite.domain.suite import DetectionTable
from perfsuite.domain.task import Inputs, Task
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.export.onnx import data_files, read_graph
from perfsuite.export.sides import (
    BATCH,
    ITS_NAME,
    batch_sides,
    declared,
    tensor_inputs,
    toml_key,
    with_sides,
)
from perfsuite.store.cache import Cache, key_of
from perfsuite.workloads.onnx.agreement import Agreeing
from perfsuite.workloads.onnx.arrays import NUMBERS, written
from perfsuite.workloads.onnx.detector import DetectorFile, pictures_shape
from perfsuite.workloads.onnx.samples import LABELS, Samples, clashing, ranks_in, read_samples
from perfsuite.workloads.onnx.sides import Settled, Shape, Sides, settled, sides_of
from perfsuite.workloads.onnx.tasks import Labelled, MadeUp, made_up
from perfsuite.workloads.onnx.trial import Outcome, runs, tried

if TYPE_CHECKING:
    import onnx

_WITHOUT = (
    "leave the labels out: the model is then timed and calibrated, without an accuracy; or write a "
    "task of your own in Python"
)
_OUTCOME = "outcome.json"
_PICTURE_SIDES = 4  # samples, channels, height, width
_TRIAL = "1"  # changes when trials come out otherwise


def onnx_workload(
    path: Path,
    samples: Path | None = None,
    shapes: GivenShapes | None = None,
    detection: DetectionTable | None = None,
) -> Workload:
    """Return the workload of an ONNX file, named after it.

    Its open sides have the lengths of `samples` or `shapes`; which one counts samples is tried out.
    A detector is judged by `detection`, other files by the labels among their samples or, without
    any, by how far a variant agrees with the file.
    Raises `ConfigError` for a file that is no model, for inputs of a type that cannot be made, for
    samples and shapes that do not fit, and where neither says how long an open side is.
    """
    told_sides, unranked, key = dict(shapes or {}), list[str](), toml_key(path.stem)

    def ranks(names: Sequence[str]) -> Mapping[str, int]:
        unranked.extend(names)
        of_pictures = {} if detection is None else dict.fromkeys(names, _PICTURE_SIDES)
        of_samples = {} if samples is None else ranks_in(samples, names)
        return {**of_pictures, **of_samples, **{name: len(one) for name, one in told_sides.items()}}

    try:
        graph = read_graph(path, ranks)
        inputs = declared(graph)
        _check_inputs(graph, inputs)
        if detection is not None:
            told_sides = {**pictures_shape(inputs, detection), **told_sides}
        outputs = [_declared_shape(one) for one in graph.graph.output]
        if samples is not None:
            inputs = _apart(path, samples, inputs, told_sides, outputs)
        sides = sides_of(inputs, told_sides, outputs)
        given = None
        if samples is not None:
            given = read_samples(samples, sides.inputs, sides.axes, sides.fixed)
        trial = partial(_tried, path, samples, given, sides)
        found = settled(sides, given, trial)
        if given is not None and given.labels is not None:
            _check_labels(given.labels, graph, found)
    except ConfigError as error:
        told = str(error).replace(ITS_NAME, key)
        whose = "" if told.startswith((f"{path}", f"{samples}")) else f"{path}: "
        raise ConfigError(whose + told) from error
    task: Task = MadeUp(found.inputs, key)
    if detection is not None:
        task = DetectorFile(found.inputs[0], detection)
    elif given is not None:
        size = found.only or _fixed_size(sides, given)
        task = Agreeing(given, size, path) if given.labels is None else Labelled(given, size)
    settled_inputs = found.inputs if unranked or found.inputs != _as_read(inputs) else ()
    model = Model(onnx=path, batch=found.only, why_batch=found.why, inputs=settled_inputs)
    return Workload(path.stem, model, task)


def _apart(
    path: Path,
    samples: Path,
    inputs: tuple[InputSpec, ...],
    told: GivenShapes,
    outputs: Sequence[Shape | None],
) -> tuple[InputSpec, ...]:
    """Return the inputs, sides of one name under several where that name means nothing.

    Exporters are told names by hand, such as `width` for the last side of each input. Samples show
    it: they have other lengths, and the file runs with them.
    """
    names = clashing(samples, inputs)
    if not names:
        return inputs
    apart = tuple(
        msgspec.structs.replace(
            spec,
            shape=tuple(
                f"{spec.name}[{axis}]" if side in names else side
                for axis, side in enumerate(spec.shape)
            ),
        )
        for spec in inputs
    )
    sides = sides_of(apart, told, outputs)
    given = read_samples(samples, sides.inputs, sides.axes, sides.fixed)
    return apart if runs(path, given.call([0])) else inputs


def _fixed_size(sides: Sides, given: Samples) -> int:
    """Return the samples in a call of a model without an open batch; 0 for one with it."""
    if sides.batch:
        return 0
    name, axis = next((name, axis) for name, axis in given.axes.items() if axis is not None)
    return next(int(spec.shape[axis]) for spec in sides.inputs if spec.name == name)


def _check_inputs(graph: onnx.ModelProto, inputs: Sequence[InputSpec]) -> None:
    if not inputs:
        raise ConfigError("the graph has no inputs, so there is nothing to run it on; give it one")
    for value in tensor_inputs(graph):
        for axis, side in enumerate(value.type.tensor_type.shape.dim):
            if side.HasField("dim_value") and side.dim_value == 0:
                raise ConfigError(
                    f"input '{value.name}': its side {axis} is 0 in the file, so that it has no "
                    f"value, and engines take no other length; export the model with that side "
                    f"open, or give it a name there: value.type.tensor_type.shape.dim[{axis}]."
                    f"dim_param = 'batch'"
                )
    for item in inputs:
        if np.dtype(item.dtype).kind not in NUMBERS:
            raise ConfigError(
                f"input '{item.name}' takes {item.dtype} (strings, or numbers that NumPy lacks); "
                "export the model so that it takes plain integers or floats"
            )


def _as_read(inputs: tuple[InputSpec, ...]) -> tuple[InputSpec, ...]:
    """Return the inputs as they are read from a file about which nothing else is known."""
    read = with_sides(inputs, dict.fromkeys(batch_sides(inputs).names, BATCH))
    batched = any(BATCH in spec.shape for spec in read)
    return tuple(
        msgspec.structs.replace(spec, per_call=batched and BATCH not in spec.shape) for spec in read
    )


def _tried(
    path: Path,
    samples: Path | None,
    given: Samples | None,
    sides: Sides,
    inputs: tuple[InputSpec, ...],
) -> Outcome:
    """Return the outcome of a trial with three samples, which is cached."""

    def make(folder: Path) -> None:
        three = made_up(inputs, 3, 0) if given is None else _three(given)
        outcome = tried(path, three, sides.axes, named=sides.named)
        (folder / _OUTCOME).write_bytes(msgspec.json.encode(outcome))

    key = key_of(
        _TRIAL,
        _engine(),
        path,
        *data_files(path),
        samples or "",
        msgspec.json.encode([inputs, sides.batch, sides.named]),
    )
    folder, _ = Cache().build("sides", key, make)
    return msgspec.json.decode((folder / _OUTCOME).read_bytes(), type=Outcome)


def _engine() -> str:
    """Return the version of what trials are made with; '' where it is not installed."""
    try:
        return version("onnxruntime")
    except PackageNotFoundError:
        return ""


def _three(given: Samples) -> Inputs:
    alike = given.alike(0, range(len(given)))
    return given.call([alike[index % len(alike)] for index in range(3)])


def _check_labels(labels: np.ndarray, graph: onnx.ModelProto, found: Settled) -> None:
    """Raise `ConfigError` for labels of a model whose answers are no scores of classes."""
    late = [spec.name for spec in found.inputs if BATCH in spec.shape[1:]]
    if late:
        raise ConfigError(
            f"top-1 needs answers that are told apart by the first side, and input '{late[0]}' "
            f"counts samples by another; {_WITHOUT}"
        )
    first = graph.graph.output[0]
    shape = found.outputs[0] if found.outputs else _declared_shape(first)
    if shape is None:
        return
    if len(shape) != 2:
        raise ConfigError(
            f"the file has '{LABELS}', for top-1, which needs scores (samples, classes) as the "
            f"first output, and '{first.name}' is {written(shape)}; {_WITHOUT}"
        )
    classes = shape[1]
    if isinstance(classes, int) and (told := misfit(labels, (len(labels), classes))):
        raise ConfigError(f"{told}; or {_WITHOUT}")


def _declared_shape(value: Any) -> tuple[int | str, ...] | None:
    """Return the shape that a graph declares for an output, `?` for open sides; None for none."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(dim.dim_value or dim.dim_param or "?" for dim in tensor.shape.dim)

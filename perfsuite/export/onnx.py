"""Torch modules are exported to ONNX files; ONNX files are read and checked."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite.domain.model import InputSpec
from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, ConfigError
from perfsuite.export.binary_torch import register_symbolic, with_functions
from perfsuite.export.bodies import names_made, names_read
from perfsuite.export.calls import flattened, tensors_of
from perfsuite.export.computed_weights import computed_weights
from perfsuite.export.frozen import frozen_places, mark_frozen
from perfsuite.export.functions import inlined
from perfsuite.export.group_norms import write_group_norms
from perfsuite.export.linked import load_whole
from perfsuite.export.logs import only_errors
from perfsuite.export.normalize import messages, normalize
from perfsuite.export.order import sort_nodes
from perfsuite.export.real_parts import real_parts
from perfsuite.export.sides import (
    BATCH,
    Ranks,
    declared,
    give_ranks,
    lacks_shape,
    name_batch,
    settle,
    settled,
    spec_of,
)
from perfsuite.export.small_constants import kept_small_constants
from perfsuite.export.stored import drop_repeated, make_dense
from perfsuite.export.symbolics import register_symbolics
from perfsuite.export.translations import translations
from perfsuite.export.validity import check_outputs, check_versions, what_it_is, why_refused
from perfsuite.export.value_reads import reads_values
from perfsuite.export.weights_alone import weights_alone
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    import onnx
    from torch import nn
    from torch.export import ExportedProgram

EXPORTER = "perfsuite.exporter"  # the metadata key: "dynamo" or "torchscript"
# What engines write into lists and traces of names without marking it.
_UNREADABLE = re.compile(r'[",\\\x00-\x1f]')
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal, which exporters write into messages
# Errors that tell only how far the exporter got.
_STEPS = ("TorchExportError", "ConversionError", "DispatchError", "GraphConstructionError")
_UNTRACED = "TorchExportError"  # the step before anything is written
_NO_ONNX = "not an ONNX file, or cut short"
_WEIGHTS_ARE_INPUTS = 3  # the last IR version in which a graph lists its weights among its inputs
_REBUILD = "export it again, for example with torch.onnx.export(..., dynamo=True)"


def export_graph(module: nn.Module, spec: Sequence[InputSpec], example: Inputs, path: Path) -> None:
    """Write `module`, in evaluation mode, as an ONNX file with its dimensions named as in `spec`.

    `example` holds at least two samples, because exporters treat a dimension of 0 or 1 as
    constant. If the dynamo exporter fails, the TorchScript exporter is used, with a warning. The
    graph's metadata `perfsuite.exporter` says which one wrote it, and `perfsuite.frozen` where the
    module looks at numbers, of which the graph keeps one. Equal modules give equal bytes.
    Raises `BuildError` if both exporters fail.
    """
    import torch

    _check_example(spec, example)
    given = {entry.name: example[entry.name] for entry in spec}
    module.eval()
    with torch.no_grad(), _flattened(module, given):
        arguments = tuple(tensors_of(given))  # the call may have changed its own
        try:
            with _quiet(), computed_weights(module):  # which the other exporter refuses
                model = _dynamo(module, spec, arguments)
            exporter, places = "dynamo", ""
        except Exception as dynamo_error:  # noqa: BLE001  (it raises whatever a model raises)
            warnings.warn(
                f"the dynamo exporter cannot take {type(module).__name__} "
                f"({_first_line(dynamo_error)}); the TorchScript exporter is used",
                stacklevel=2,
            )
            try:
                with _quiet() as told:
                    model = _torchscript(module, spec, arguments)
            except Exception as error:
                raise BuildError(
                    f"{type(module).__name__} does not export to ONNX: dynamo: "
                    f"{_first_line(dynamo_error)}; TorchScript: {_first_line(error)}"
                ) from error
            exporter = "torchscript"
            places = frozen_places(
                told, lambda: reads_values(module, tensors_of(given)) is not False
            )
            if places:
                warnings.warn(
                    f"{type(module).__name__} looks at its input in Python, at {places}: the graph "
                    f"keeps for good what one input gave there, and other inputs may be answered "
                    f"wrongly; torch.where and torch.cond stay open",
                    stacklevel=2,
                )
    normalize(model)
    model.metadata_props.add(key=EXPORTER, value=exporter)
    mark_frozen(model, places)
    if any(item.per_call for item in spec) and not any(BATCH in item.shape for item in spec):
        settle(model, spec)  # which of its inputs count samples, no open side tells
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _flattened(module: nn.Module, inputs: Inputs) -> Iterator[None]:
    """Flatten `module` within the context; what its own code raises is no exporter's refusal."""
    given = ", ".join(f"{name} {item.dtype} {item.shape}" for name, item in inputs.items())
    with contextlib.ExitStack() as stack:
        with user_code(f"{type(module).__name__}: its forward on what is exported ({given})"):
            stack.enter_context(flattened(module, inputs))
        yield


def export_fixed(module: nn.Module, inputs: Inputs, path: Path) -> None:
    """Write `module`, in evaluation mode, as an ONNX file for exactly the shapes of `inputs`.

    It is for graphs that are timed and discarded: the TorchScript exporter is used, which takes
    milliseconds for a layer, and answers are not compared. `inputs` are in the order of `forward`'s
    arguments. Raises `BuildError` if the export fails.
    """
    import torch

    spec = [InputSpec(name, str(array.dtype), array.shape) for name, array in inputs.items()]
    try:
        with torch.no_grad(), _quiet(), flattened(module, inputs):
            model = _torchscript(module, spec, tuple(tensors_of(inputs)))
    except Exception as error:
        raise BuildError(
            f"{type(module).__name__} does not export to ONNX: TorchScript: {_first_line(error)}"
        ) from error
    normalize(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def load_graph(path: Path) -> onnx.ModelProto:
    """Return the checked model in `path`, its dimensions that count samples named `batch`.

    They are found by their names and places, unless the graph's sides were settled. Nodes without
    a name get a unique one from their outputs, because traces of engines refer to nodes by name.
    Raises `ConfigError` as `read_graph` does.
    """
    model = read_graph(path)
    if settled(model) is None:
        name_batch(model)
    _name_nodes(model)
    return model


def read_graph(path: Path, ranks: Ranks | None = None) -> onnx.ModelProto:
    """Return the checked model in `path`, its nodes sorted and local functions expanded.

    Weights that it stores sparse, or again under the same name, are in it once and whole. The
    function of binary convolutions stays, as some engines have kernels for these. External data are
    read from beside the file. Of inputs for which the file does not tell it, `ranks` gives the
    numbers of sides, all of which are open then. Raises `ConfigError` for a file that is missing,
    is not ONNX, is cut short, is too new or fails the checker, for an input whose number of sides
    nobody tells, and for different weights of one name.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file")
    try:
        model = load_whole(path)
        if not model.graph.node:
            plain = f"not an ONNX model, or an empty one; {_REBUILD}"
            raise ConfigError(f"{path}: {what_it_is(path) or plain}")
        check_versions(path, model)
        if model.ir_version == _WEIGHTS_ARE_INPUTS:
            model.ir_version += 1  # some exporters do not list them, which no engine minds
        sort_nodes(model)
        write_group_norms(model)
        give_ranks(model, ranks)
        drop_repeated(model)
        if any(map(lacks_shape, model.graph.output)):  # as where a graph was cut
            model = onnx.shape_inference.infer_shapes(model)
        _check(model)
    except DecodeError as error:
        raise ConfigError(f"{path}: {what_it_is(path) or f'{_NO_ONNX}; {_REBUILD}'}") from error
    except (OSError, ValueError, TypeError, onnx.checker.ValidationError) as error:
        told = _one_line(error)
        plain = f"{told}; {_REBUILD}, and keep external data beside it"
        raise ConfigError(f"{path}: {why_refused(told) or plain}") from error
    check_outputs(path, model)
    if model.functions:
        _name_nodes(model)  # what is expanded is named after its call
        model = inlined(model, binary=False)
    make_dense(model)
    return model


def _check(model: onnx.ModelProto) -> None:
    """Raise what the checker does, but for outputs of unknown shape, which engines take."""
    import onnx

    unknown = [value for value in model.graph.output if lacks_shape(value)]
    for value in unknown:
        value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    finally:
        for value in unknown:
            value.type.tensor_type.ClearField("shape")


def write_settled(path: Path, specs: Sequence[InputSpec], target: Path) -> None:
    """Write the model in `path` with the sides of `specs`, which nobody then guesses.

    Engines follow the lengths that were open through the whole model, and may not load it then. So
    lengths that it declares for its outputs are dropped where they are those of other inputs, and
    lengths of inputs left open where a branch that no call takes contradicts them, such as one for
    another rate of a signal.
    """
    import onnx

    ranks = {spec.name: len(spec.shape) for spec in specs}
    model = read_graph(path, lambda names: ranks)
    given = declared(model)
    opened = [_opened(one, own) for one, own in zip(specs, given, strict=True)]
    found = onnx.ModelProto()
    found.CopyFrom(model)
    settle(found, specs)
    onnx.save(found, target)
    if opened == list(specs) or not _is_refused(target) or _is_refused(path):
        return
    _forget_lengths(found.graph.output)
    onnx.save(found, target)
    if _is_refused(target):
        settle(model, opened)
        onnx.save(model, target)


def _forget_lengths(outputs: Sequence[onnx.ValueInfoProto]) -> None:
    for value in outputs:
        for side in value.type.tensor_type.shape.dim:
            if side.HasField("dim_value"):
                side.Clear()


def _is_refused(path: Path) -> bool:
    """Tell whether ONNX Runtime is there, and does not load a file.

    It follows shapes through constants that it has folded, further than without optimizations.
    """
    try:
        import onnxruntime as ort
    except ImportError:
        return False
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001  (the engine's errors have no common class)
        return True
    return False


def _opened(spec: InputSpec, given: InputSpec) -> InputSpec:
    """Return `spec` with its lengths left open where the file leaves them open."""
    sides = [
        f"{spec.name}[{axis}]" if isinstance(own, str) and isinstance(side, int) else side
        for axis, (side, own) in enumerate(zip(spec.shape, given.shape, strict=True))
    ]
    return msgspec.structs.replace(spec, shape=tuple(sides))


def data_files(path: Path) -> list[Path]:
    """Return the files with the external data of an ONNX file, sorted."""
    import onnx

    model = onnx.load(path, format="protobuf", load_external_data=False)
    names = {
        entry.value
        for message in messages(model)
        if isinstance(message, onnx.TensorProto) and message.data_location == message.EXTERNAL
        for entry in message.external_data
        if entry.key == "location"
    }
    return [path.parent / name for name in sorted(names)]


def graph_spec(model: onnx.ModelProto) -> tuple[tuple[InputSpec, ...], tuple[str, ...]]:
    """Return the inputs, without initializers, and the names of the outputs.

    The model is one that `load_graph` gave. Raises `ConfigError` for an input that is no tensor, or
    whose number of dimensions is not known.
    """
    return spec_of(model), tuple(value.name for value in model.graph.output)


def _name_nodes(model: onnx.ModelProto) -> None:
    taken: set[str] = set()
    for node in model.graph.node:
        name = _UNREADABLE.sub("_", node.name or next(filter(None, node.output), node.op_type))
        unique, again = name, 1
        while unique in taken:
            unique, again = f"{name}_{again}", again + 1
        node.name = unique
        taken.add(unique)


def _check_example(spec: Sequence[InputSpec], example: Inputs) -> None:
    missing = [entry.name for entry in spec if entry.name not in example]
    if missing or len(example) != len(spec):
        raise ConfigError(
            f"the task gives the inputs {sorted(example)}, the model takes "
            f"{[entry.name for entry in spec]}"
        )
    for entry in spec:
        for axis, side in enumerate(entry.shape):
            if isinstance(side, str) and example[entry.name].shape[axis] < 2:
                raise ConfigError(
                    f"input '{entry.name}': the example's dimension {axis} ({side}) must be 2 or "
                    f"more, or the exporter takes it for a constant"
                )


def _dynamo(module: nn.Module, spec: Sequence[InputSpec], arguments: tuple[Any, ...]) -> Any:
    import torch

    names = {side for entry in spec for side in entry.shape if isinstance(side, str)}
    dims = {name: torch.export.Dim(name) for name in sorted(names)}
    shapes = tuple(
        {axis: dims[side] for axis, side in enumerate(entry.shape) if isinstance(side, str)}
        for entry in spec
    )
    parameters = inspect.signature(module.forward).parameters.values()
    variadic = [parameter.kind for parameter in parameters] == [inspect.Parameter.VAR_POSITIONAL]
    dynamic_shapes = (shapes,) if variadic else shapes

    def written(traced: Any) -> Any:
        with kept_small_constants():
            program = torch.onnx.export(
                traced,
                arguments,
                input_names=[entry.name for entry in spec],
                dynamo=True,
                dynamic_shapes=dynamic_shapes,
                custom_translation_table=translations(),
                verbose=False,
            )
        if program is None:
            raise BuildError(f"the exporter gave nothing for {type(module).__name__}")
        _require_whole(program.model_proto)
        return program.model_proto

    def program(strict: bool = False) -> ExportedProgram:
        return torch.export.export(module, arguments, dynamic_shapes=dynamic_shapes, strict=strict)

    try:
        model = written(module)
    except torch.onnx.OnnxExporterError as error:
        if type(error).__name__ == _UNTRACED:
            raise
        # What ONNX has no operator for may follow from weights, or be two sums of real numbers.
        with real_parts() as found:
            by_parts = program()
        held = weights_alone(by_parts)
        if held is None and not found:
            raise
        model = written(held or by_parts)
    if _fixes(model, spec):
        # What Python makes a number of, as len(x) does, stays open only where torch reads the code.
        model = written(program(strict=True))
    return with_functions(model)


def _require_whole(model: onnx.ModelProto) -> None:
    """Raise `BuildError` for a graph that reads what is not there.

    The dynamo exporter (2.14) loses the limits of a second clamp of the same tensor.
    """
    lost = sorted(names_read(model.graph) - names_made(model.graph) - {""})
    if lost:
        raise BuildError(f"the graph reads {', '.join(lost)}, and has no such value")


def _fixes(model: onnx.ModelProto, spec: Sequence[InputSpec]) -> bool:
    """Tell whether a graph takes one length alone where `spec` leaves it open."""
    taken = {value.name: value.type.tensor_type.shape.dim for value in model.graph.input}
    return any(
        isinstance(side, str) and one.HasField("dim_value")
        for entry in spec
        for side, one in zip(entry.shape, taken.get(entry.name, ()), strict=False)
    )


def _torchscript(module: nn.Module, spec: Sequence[InputSpec], arguments: tuple[Any, ...]) -> Any:
    import onnx
    import torch

    register_symbolic()
    register_symbolics()
    buffer = io.BytesIO()
    with _without_graphs():
        torch.onnx.export(
            module,
            arguments,
            buffer,  # type: ignore[arg-type]  # takes a file too, its annotation does not say so
            input_names=[entry.name for entry in spec],
            dynamo=False,
            dynamic_axes={
                entry.name: {
                    axis: side for axis, side in enumerate(entry.shape) if isinstance(side, str)
                }
                for entry in spec
            },
        )
    return with_functions(onnx.load_from_string(buffer.getvalue()))


@contextlib.contextmanager
def _quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Keep the exporters' progress and log lines off the terminal; gives their warnings so far."""
    with (
        only_errors("torch"),
        only_errors("onnxscript"),
        warnings.catch_warnings(record=True) as told,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("always")
        yield told


@contextlib.contextmanager
def _without_graphs() -> Iterator[None]:
    """Keep TorchScript's exporter from printing the whole graph that it fails on.

    It does so from C++, past Python's streams, and turns this on for itself in each export.
    """
    import torch

    before = torch._C._jit_onnx_log
    torch._C._jit_onnx_log = lambda *parts: None
    try:
        yield
    finally:
        torch._C._jit_onnx_log = before


def _first_line(error: BaseException) -> str:
    """Return the cause of an exporter's error in one line; dynamo's own message tells its steps."""
    while type(error).__name__ in _STEPS and error.__cause__ is not None:
        error = error.__cause__
    plain = _COLOURS.sub("", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _one_line(error: BaseException) -> str:
    """Return what the checker says; which node it means stands on a line of its own."""
    return f"not a valid ONNX model: {type(error).__name__}: {' '.join(str(error).split())[:300]}"

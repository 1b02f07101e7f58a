"""`check_pass`: the contract of passes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite.config.conversion import Location, convert
from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.recipe import GraphPass, ModelPass, Target, is_graph_pass
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.runner.build.reference import graph_outputs
from perfsuite.testing.model_passes import check_model_pass
from perfsuite.testing.samples import check_like, context, require, small_workload

if TYPE_CHECKING:
    import onnx


def check_pass(pass_instance: ModelPass | GraphPass, workload: Workload | None = None) -> None:
    """Raise `AssertionError` unless a pass, as configured, meets the contract.

    It must be a frozen `msgspec.Struct` that can be stored as JSON, and have a `version` and
    `resolve`. It is tried on the model of `workload`, by default a small convolutional net, with
    the samples of its task: a graph pass on the graph, a model pass on the module (see
    `check_model_pass`). Times are not measured but scripted, in proportion to multiply-accumulates,
    so that the result is the same on every machine. What the pass raises is raised; `Unsupported`
    means that it is not for this model.
    """
    who = f"pass {type(pass_instance).__name__}"
    _check_struct(who, pass_instance)
    target = _target(pass_instance)
    _check_declared(who, pass_instance, target)
    is_graph = is_graph_pass(pass_instance)
    is_model = hasattr(pass_instance, "fit") and hasattr(pass_instance, "rebuild")
    require(
        is_graph != is_model,
        f"{who} must have either apply(graph, ctx), or fit(model, ctx) and rebuild(model, edits)",
    )
    if workload is not None:
        who = f"{who} on {workload.name}"
    with tempfile.TemporaryDirectory(prefix="perfsuite-check-") as name:
        check = _check_graph_pass if is_graph else check_model_pass
        check(who, pass_instance, workload or small_workload(), target, Path(name))


def _target(pass_: Any) -> Target:
    runtimes = getattr(pass_, "runtimes", ())
    named = getattr(pass_, "runtime", "")
    name = named or (runtimes[0] if runtimes else "onnxruntime")
    return Target(name, "cpu", threads=1, quantized=QuantizedGraphs())


def _check_struct(who: str, pass_: Any) -> None:
    kind = type(pass_)
    require(
        isinstance(pass_, msgspec.Struct) and kind.__struct_config__.frozen,
        f"{who}: write class {kind.__name__}(msgspec.Struct, frozen=True); its fields are its "
        f"configuration",
    )
    try:
        back = msgspec.json.decode(msgspec.json.encode(pass_), type=kind)
    except (msgspec.MsgspecError, TypeError) as error:
        raise AssertionError(
            f"{who}: its fields do not survive JSON ({error}); use numbers, strings, booleans, "
            f"tuples and structs of them, with full annotations"
        ) from error
    require(back == pass_, f"{who}: JSON gives back {back!r} for {pass_!r}")
    fields = msgspec.json.decode(msgspec.json.encode(pass_), type=dict[str, Any])
    try:
        convert({**fields, "no_such_field": 1}, kind, Location(who))
    except ConfigError:
        return
    raise AssertionError(f"{who} takes the unknown field 'no_such_field'; a suite may mistype one")


def _check_declared(who: str, pass_: Any, target: Target) -> None:
    version, runtimes = getattr(pass_, "version", None), getattr(pass_, "runtimes", ())
    require(
        type(version) is int and version >= 1,
        f"{who}: version is {version!r}; declare version: ClassVar[int] = 1 and raise it when the "
        f"pass gives another result",
    )
    require(
        isinstance(runtimes, tuple) and all(isinstance(name, str) for name in runtimes),
        f"{who}: runtimes is {runtimes!r}; leave it out if the pass is for every engine, else "
        f"declare runtimes: ClassVar[tuple[str, ...]], the engines with a kernel for its result",
    )
    for said in ("once", "replaces"):
        require(
            isinstance(getattr(pass_, said, False), bool),
            f"{who}: {said} is {getattr(pass_, said, False)!r}; declare {said}: ClassVar[bool] = "
            f"True, or leave it out",
        )
    require(
        not getattr(pass_, "replaces", False) or not is_graph_pass(pass_),
        f"{who}: replaces is for model passes, which put another net in the place of the model",
    )
    for field in ("version", "runtimes", "once", "replaces"):
        require(
            field not in type(pass_).__struct_fields__,
            f"{who}: {field} is a field; annotate it as ClassVar, no suite may set it",
        )
    require(
        hasattr(pass_, "resolve"),
        f"{who} lacks resolve(target) -> str: what of the target changes its result; return '' "
        f"when nothing does",
    )
    said = pass_.resolve(target)
    require(
        isinstance(said, str) and said == pass_.resolve(target),
        f"{who}: resolve(target) gives {said!r}; it must be a text, the same each time: it is part "
        f"of the cache key",
    )


def _check_graph_pass(
    who: str, pass_: Any, workload: Workload, target: Target, folder: Path
) -> None:
    import onnx

    from perfsuite.export.onnx import graph_spec, load_graph

    path = _exported(workload, folder)
    graph = load_graph(path)
    before = _bytes(graph)
    result = pass_.apply(graph, context(workload, target, folder))
    require(
        isinstance(result, onnx.ModelProto),
        f"{who}: apply must return an onnx.ModelProto, not {type(result).__name__}",
    )
    require(
        result is not graph and _bytes(graph) == before,
        f"{who}: apply changed the graph that it was given; work on a copy "
        f"(copy = onnx.ModelProto(); copy.CopyFrom(graph))",
    )
    twin = pass_.apply(graph, context(workload, target, folder))
    require(
        _bytes(result) == _bytes(twin),
        f"{who}: apply gives other bytes the second time; name new nodes by position, seed what is "
        f"drawn, and iterate over nothing unordered",
    )
    try:
        onnx.checker.check_model(result, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise AssertionError(f"{who}: apply gives an invalid graph: {error}") from error
    require(
        graph_spec(result) == graph_spec(graph),
        f"{who}: apply changed the inputs or outputs from {graph_spec(graph)} to "
        f"{graph_spec(result)}; they, and the dynamic batch, must stay",
    )
    if not getattr(pass_, "runtimes", ()):  # for every engine, so for the references' too
        onnx.save(result, folder / "result.onnx")
        for batch in (1, 3):
            inputs = workload.task.inputs(workload.model.batch or batch, 0)
            answers = graph_outputs(folder / "result.onnx", inputs)
            check_like(f"{who}: the graph it gives", answers, graph_outputs(path, inputs))


def _exported(workload: Workload, folder: Path) -> Path:
    """Return the path of the model's graph."""
    from perfsuite.export.onnx import export_graph, write_settled

    model, path = workload.model, folder / "graph.onnx"
    if model.onnx is not None and not model.inputs:
        return model.onnx
    if model.onnx is not None:
        write_settled(model.onnx, model.inputs, path)
        return path
    if model.build is None:
        raise AssertionError(f"workload '{workload.name}': its model has neither build nor onnx")
    example = workload.task.inputs(model.batch or 2, 0)
    export_graph(model.build(), workload.input_spec(), example, path)
    return path


def _bytes(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString(deterministic=True)
    return data

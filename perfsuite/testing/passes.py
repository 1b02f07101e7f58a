"""`check_pass`: what every pass must do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from perfsuite.config.form import Place, convert
from perfsuite.domain.recipe import Edits, GraphPass, ModelPass, PassContext, Target
from perfsuite.domain.task import Inputs, Outputs, TrainingSet
from perfsuite.engine.edits import read_edits, write_edits
from perfsuite.engine.reference import graph_outputs, module_outputs
from perfsuite.errors import ConfigError
from perfsuite.measure.macs import count_module
from perfsuite.testing.samples import CLASSES, OUTPUTS, SIDE, SPEC, pictures, require, small_net

if TYPE_CHECKING:
    import onnx
    from torch import nn

TRAINING = 64  # samples
BATCH = 16


def check_pass(pass_instance: ModelPass | GraphPass) -> None:
    """Raise `AssertionError` unless a pass, as configured, meets the contract.

    It must be a frozen `msgspec.Struct` that survives JSON, and say its `version`, its `runtimes`
    and what it takes from the target. A graph pass is tried on the graph of a small convolutional
    net, a model pass on the net itself. Whatever the pass raises comes through as it is.
    """
    who = f"pass {type(pass_instance).__name__}"
    _check_struct(who, pass_instance)
    target = _target(pass_instance)
    _check_declared(who, pass_instance, target)
    is_graph = hasattr(pass_instance, "apply")
    is_model = hasattr(pass_instance, "fit") and hasattr(pass_instance, "rebuild")
    require(
        is_graph != is_model,
        f"{who} must have either apply(graph, ctx), or fit(model, ctx) and rebuild(model, edits)",
    )
    with tempfile.TemporaryDirectory(prefix="perfsuite-check-") as name:
        folder = Path(name)
        if is_graph:
            _check_graph_pass(who, pass_instance, target, folder)
        else:
            _check_model_pass(who, pass_instance, target, folder)


def _target(pass_: Any) -> Target:
    runtimes = getattr(pass_, "runtimes", ())
    return Target(runtimes[0] if runtimes else "onnxruntime", "cpu")


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
        convert({**fields, "no_such_field": 1}, kind, Place(who))
    except ConfigError:
        return
    raise AssertionError(f"{who} takes the unknown field 'no_such_field'; a suite may mistype one")


def _check_declared(who: str, pass_: Any, target: Target) -> None:
    version, runtimes = getattr(pass_, "version", None), getattr(pass_, "runtimes", None)
    require(
        type(version) is int and version >= 1,
        f"{who}: version is {version!r}; declare version: ClassVar[int] = 1 and raise it when the "
        f"pass gives another result",
    )
    require(
        isinstance(runtimes, tuple) and all(isinstance(name, str) for name in runtimes),
        f"{who}: runtimes is {runtimes!r}; declare runtimes: ClassVar[tuple[str, ...]], the "
        f"engines that have a kernel for its result, () for every engine",
    )
    for field in ("version", "runtimes"):
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


def _context(target: Target, folder: Path) -> PassContext:
    """Return surroundings with seeded samples; training targets are the labels 0 to 4."""

    def calibration(samples: int) -> Iterator[Inputs]:
        for start in range(0, samples, BATCH):
            yield pictures(min(BATCH, samples - start), seed=start + 1)

    def train() -> TrainingSet:
        rng = np.random.default_rng(0)
        images = rng.normal(size=(TRAINING, 3, SIDE, SIDE)).astype(np.float32)
        return TrainingSet(images, np.arange(TRAINING) % CLASSES, lambda batch, _: batch)

    return PassContext(
        inputs=pictures(1),
        calibration=calibration,
        train=train,
        target=target,
        checkpoint=folder / "checkpoint",
        progress=lambda done, total: None,
        latency_s=_latency_s,
    )


def _latency_s(
    candidates: Sequence[tuple[nn.Module, Inputs]], cold_bytes: int = 0
) -> tuple[float, ...]:
    """Return times that follow from the arithmetic alone: 1 ns a MAC beside 1 us a call.

    A contract must come out the same on every machine and each time.
    """
    return tuple(1e-6 + 1e-9 * count_module(*candidate).macs for candidate in candidates)


def _check_graph_pass(who: str, pass_: Any, target: Target, folder: Path) -> None:
    import onnx

    from perfsuite.export.onnx import export_graph, graph_spec, load_graph

    export_graph(small_net(), SPEC, pictures(2), folder / "graph.onnx")
    graph = load_graph(folder / "graph.onnx")
    before = _bytes(graph)
    result = pass_.apply(graph, _context(target, folder))
    require(
        isinstance(result, onnx.ModelProto),
        f"{who}: apply must return an onnx.ModelProto, not {type(result).__name__}",
    )
    require(
        result is not graph and _bytes(graph) == before,
        f"{who}: apply changed the graph that it was given; work on a copy "
        f"(copy = onnx.ModelProto(); copy.CopyFrom(graph))",
    )
    twin = pass_.apply(graph, _context(target, folder))
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
    if target.runtime == "onnxruntime":
        onnx.save(result, folder / "result.onnx")
        for batch in (1, 3):
            answers = graph_outputs(folder / "result.onnx", pictures(batch))
            _check_answers(f"{who}: the graph it gives", answers, batch)


def _bytes(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _check_model_pass(who: str, pass_: Any, target: Target, folder: Path) -> None:
    import torch

    edits = pass_.fit(small_net(), _context(target, folder))
    require(
        isinstance(edits, Edits),
        f"{who}: fit must return perfsuite.Edits(data, tensors), not {type(edits).__name__}",
    )
    stored = _stored(who, edits, folder)
    answers = []
    for seed in (1, 2):  # rebuilding must not depend on what was drawn before
        torch.manual_seed(seed)
        module = pass_.rebuild(small_net(), stored)
        require(
            isinstance(module, torch.nn.Module),
            f"{who}: rebuild must return the module, not {type(module).__name__}",
        )
        answers.append(module_outputs(module.eval(), pictures(3)))
        _check_answers(f"{who}: the rebuilt net", answers[-1], 3)
    require(
        all(np.array_equal(a, b) for a, b in zip(*answers, strict=True)),
        f"{who}: two rebuilds from the same edits answer differently; put everything that was "
        f"drawn or trained into Edits.tensors",
    )


def _stored(who: str, edits: Edits, folder: Path) -> Edits:
    try:
        write_edits(folder, edits)
        stored = read_edits(folder)
    except Exception as error:
        raise AssertionError(
            f"{who}: its edits cannot be stored ({type(error).__name__}: {error}); data takes JSON "
            f"values, tensors takes NumPy arrays by name"
        ) from error
    require(
        stored.data == edits.data,
        f"{who}: JSON gives back the data {stored.data!r} for {edits.data!r}; use lists, and texts "
        f"as keys",
    )
    same = stored.tensors.keys() == edits.tensors.keys() and all(
        value.dtype == edits.tensors[name].dtype and np.array_equal(value, edits.tensors[name])
        for name, value in stored.tensors.items()
    )
    require(same, f"{who}: safetensors gives back other tensors; use finite NumPy arrays")
    return stored


def _check_answers(who: str, answers: Outputs, batch: int) -> None:
    shapes = [answer.shape for answer in answers]
    require(
        shapes == [(batch, CLASSES)] * len(OUTPUTS),
        f"{who} gives outputs of shape {shapes} for a batch of {batch}; "
        f"{[(batch, CLASSES)] * len(OUTPUTS)} went in",
    )
    require(
        all(bool(np.isfinite(answer).all()) for answer in answers),
        f"{who} gives NaN or infinite values",
    )

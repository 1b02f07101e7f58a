"""An ONNX graph becomes an engine: typed, checked, and built for one card's compute capability."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from perfsuite.domain.profile import Node
from perfsuite.errors import PerfsuiteError, Unavailable, Unsupported
from perfsuite.export.lowered import lowered
from perfsuite.runtimes.shared.base import build_error, lacks_operator, trimmed
from perfsuite.runtimes.tensorrt import stored
from perfsuite.runtimes.tensorrt.built import NetworkLayer
from perfsuite.runtimes.tensorrt.library import Messages, refusal
from perfsuite.runtimes.tensorrt.network import check_types, network_layers
from perfsuite.runtimes.tensorrt.quantized import explicit
from perfsuite.runtimes.tensorrt.shapes import Profile

if TYPE_CHECKING:
    import onnx

_HALVES = ("fp16", "bf16")
# What the parser takes in these types, and no kernel computes (TensorRT-RTX 1.7).
_IN_FLOAT = {"bf16": ("ConvTranspose",)}
_LACKING = re.compile(r"^false$|\bcreator\b|[Pp]lugin (creator|not found)")


class Wanted(NamedTuple):
    """What an engine is built for."""

    engine: str  # as messages call it
    precision: str
    capability: str  # such as "sm_89"
    for_any_machine: bool  # built for a capability, with no need of a card
    profiles: tuple[Profile, ...]
    timing: Path | None  # the file with times of kernels, of an engine that measures them


class Engine(NamedTuple):
    """A serialized engine, the layers of its network, and the operators that stay in float32."""

    content: bytes
    layers: tuple[NetworkLayer, ...]
    in_float: tuple[str, ...]


class _Parsed(NamedTuple):
    """A graph in the types that the engine is to compute in, and the network made of it."""

    model: onnx.ModelProto
    builder: Any
    network: Any
    messages: Messages


class _Refused(NamedTuple):
    """A graph that the parser does not take: the operator that it names, and the error for it."""

    operator: str
    error: PerfsuiteError


def typed(
    model: onnx.ModelProto, precision: str, engine: str, keep: Collection[str] = ()
) -> onnx.ModelProto:
    """Return the graph in the types that the engine is to compute in, with explicit Q/DQ pairs."""
    made = explicit(model, engine)
    if precision not in _HALVES:
        return made
    return lowered(made, precision, keep)  # type: ignore[arg-type]


def build(trt: Any, given: onnx.ModelProto, wanted: Wanted, where: Path) -> Engine:
    """Return the engine of a graph, which was read from the file `where`.

    Operators that the engine does not take in 16 bits stay in float32. Raises `Unsupported` for one
    that it lacks, `SilentFallback` where its parser has made other types of the graph, and
    `BuildError` for what else fails.
    """
    keep = set(_IN_FLOAT.get(wanted.precision, ()))
    parsed = _parse(trt, given, wanted, where, keep)
    while isinstance(parsed, _Refused):
        if wanted.precision not in _HALVES or parsed.operator in {*keep, ""}:
            raise parsed.error
        keep.add(parsed.operator)
        parsed = _parse(trt, given, wanted, where, keep)
    _refuse_shape_inputs(parsed.network, wanted.engine)
    layers = network_layers(parsed.network)
    in_float = sorted(keep & {node.op_type for node in parsed.model.graph.node})
    check_types(layers, wanted.precision, parsed.model, wanted.engine, in_float)
    config = _config(trt, parsed.builder, wanted)
    cache = _timing_cache(config, wanted.timing)
    content = parsed.builder.build_serialized_network(parsed.network, config)
    if content is None:
        operators = _operators(parsed.model)
        raise refusal(wanted.engine, parsed.messages.errors, where, operators)
    if cache is not None and wanted.timing is not None:
        stored.write(wanted.timing, bytes(config.get_timing_cache().serialize()))
    return Engine(bytes(content), layers, tuple(in_float))


def _parse(
    trt: Any, given: onnx.ModelProto, wanted: Wanted, where: Path, keep: Collection[str]
) -> _Parsed | _Refused:
    model = typed(given, wanted.precision, wanted.engine, keep)
    messages = Messages(trt)
    builder = _builder(trt, messages, wanted.engine, where)
    network = builder.create_network(_flags(trt))
    parser = trt.OnnxParser(network, messages.logger)
    if parser.parse(model.SerializeToString()):
        return _Parsed(model, builder, network, messages)
    return _refused(parser, wanted.engine, where, _operators(model))


def _builder(trt: Any, messages: Messages, engine: str, where: Path) -> Any:
    """Return a builder; raise what the engine says where it can make none."""
    try:
        return trt.Builder(messages.logger)
    except TypeError as error:  # pybind11's, of a null pointer
        raise refusal(engine, messages.errors or str(error), where, {}) from error


def _operators(model: onnx.ModelProto) -> dict[str, str]:
    """Return the operator of each node, with a domain of somebody's own."""
    return {node.name: f"{node.domain}.{node.op_type}".lstrip(".") for node in model.graph.node}


def _flags(trt: Any) -> int:
    """Return the flags of a network whose types are those of the graph alone.

    Newer versions know no other networks, and some of them no flag for it.
    """
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _refused(parser: Any, engine: str, where: Path, operators: dict[str, str]) -> _Refused:
    """Return why the parser does not take a graph, by the first node that it names."""
    told = [parser.get_error(index) for index in range(parser.num_errors)]
    plain = build_error(engine, where, ValueError("\n".join(str(one) for one in told)))
    for one in told:
        name, text = str(one.node_name()), trimmed(str(one.desc()))
        operator = operators.get(name) or str(one.node_operator())
        if not operator:
            continue
        if _LACKING.search(text) or not parser.supports_operator(operator.rpartition(".")[2]):
            return _Refused(operator, lacks_operator(engine, operator, where))
        if "UNSUPPORTED" not in str(one.code()):
            return _Refused(operator, plain)
        refused = Unsupported(
            f"{engine} does not take {operator} as {where.name} has it, in node '{name}': {text}; "
            f"take another engine, or export the model without it"
        )
        return _Refused(operator, refused)
    return _Refused("", plain)


def _refuse_shape_inputs(network: Any, engine: str) -> None:
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        if tensor.is_shape_tensor:
            raise Unsupported(
                f"{engine}: the values of input '{tensor.name}' decide shapes inside the graph, "
                f"for which an engine has to be built with limits; make it a constant, or take "
                f"another engine"
            )


def _config(trt: Any, builder: Any, wanted: Wanted) -> Any:
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if (tf32 := getattr(trt.BuilderFlag, "TF32", None)) is not None:
        (config.set_flag if wanted.precision == "tf32" else config.clear_flag)(tf32)
    if wanted.for_any_machine:
        config.num_compute_capabilities = 1
        config.set_compute_capability(target_of(trt, wanted.engine, wanted.capability), 0)
    for profile in wanted.profiles:
        made = builder.create_optimization_profile()
        for name, shapes in profile.items():
            made.set_shape(name, *shapes)
        config.add_optimization_profile(made)
    return config


def target_of(trt: Any, engine: str, capability: str) -> Any:
    """Return the engine's word for a compute capability; raise `Unavailable` where it has none."""
    found = getattr(trt.ComputeCapability, capability.replace("_", "").upper(), None)
    if found is None:
        known = [one for one in trt.ComputeCapability.__members__ if one.startswith("SM")]
        oldest = min(map(_number, known))
        # What is older than that is too old for tensorrt, too.
        instead = "pytorch" if _number(capability) < oldest else "tensorrt"
        raise Unavailable(
            f"{engine} builds nothing for {capability}; it knows {', '.join(known)}: take the "
            f"runtime {instead} for such a card"
        )
    return found


def _number(capability: str) -> int:
    """Return 89 for "sm_89" and for "SM89"."""
    return int(re.sub(r"\D", "", capability))


def _timing_cache(config: Any, file: Path | None) -> Any:
    """Have the builder read and keep the times of kernels that it has measured on this card."""
    if file is None:
        return None
    cache = config.create_timing_cache(stored.read(file))
    config.set_timing_cache(cache, False)
    return cache


def given_nodes(model: onnx.ModelProto) -> tuple[Node, ...]:
    """Return the nodes of the graph as it was given, to which layers are traced back."""
    return tuple(
        Node(node.name, node.op_type, "", tuple(filter(None, node.input)), tuple(node.output))
        for node in model.graph.node
        if node.op_type != "Constant"
    )

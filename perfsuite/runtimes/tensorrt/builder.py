"""An ONNX graph becomes an engine: typed, checked, and built for one card's compute capability."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from perfsuite.domain.profile import Node
from perfsuite.errors import Unavailable, Unsupported
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


class Wanted(NamedTuple):
    """What an engine is built for."""

    engine: str  # as messages call it
    precision: str
    capability: str  # such as "sm_89"
    for_any_machine: bool  # built for a capability, with no need of a card
    profiles: tuple[Profile, ...]
    timing: Path | None  # the file with times of kernels, of an engine that measures them


class Engine(NamedTuple):
    """A serialized engine, and the layers of the network that it was built of."""

    content: bytes
    layers: tuple[NetworkLayer, ...]


def typed(model: onnx.ModelProto, precision: str, engine: str) -> onnx.ModelProto:
    """Return the graph in the types that the engine is to compute in, with explicit Q/DQ pairs."""
    made = explicit(model, engine)
    return lowered(made, precision) if precision in _HALVES else made  # type: ignore[arg-type]


def build(trt: Any, model: onnx.ModelProto, wanted: Wanted, where: Path) -> Engine:
    """Return the engine of the typed graph `model`, which was read from the file `where`.

    Raises `Unsupported` for an operator that the engine lacks, `SilentFallback` where its parser
    has made other types of the graph, and `BuildError` for what else fails.
    """
    messages = Messages(trt)
    builder = trt.Builder(messages.logger)
    network = builder.create_network(_flags(trt))
    operators = {
        node.name: f"{node.domain}.{node.op_type}".lstrip(".") for node in model.graph.node
    }
    parser = trt.OnnxParser(network, messages.logger)
    if not parser.parse(model.SerializeToString()):
        raise _unparsed(parser, wanted.engine, where, operators)
    _refuse_shape_inputs(network, wanted.engine)
    layers = network_layers(network)
    check_types(layers, wanted.precision, model, wanted.engine)
    config = _config(trt, builder, wanted)
    cache = _timing_cache(config, wanted.timing)
    content = builder.build_serialized_network(network, config)
    if content is None:
        raise refusal(wanted.engine, messages.errors, where, operators)
    if cache is not None and wanted.timing is not None:
        stored.write(wanted.timing, bytes(config.get_timing_cache().serialize()))
    return Engine(bytes(content), layers)


def _flags(trt: Any) -> int:
    """Return the flags of a network whose types are those of the graph alone.

    Newer versions know no other networks, and some of them no flag for it.
    """
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _unparsed(parser: Any, engine: str, where: Path, operators: dict[str, str]) -> Exception:
    """Return the error for a graph that the parser does not take."""
    told = [parser.get_error(index) for index in range(parser.num_errors)]
    for one in told:
        text = str(one.desc())
        if "UNSUPPORTED_NODE" in f"{one.code()}" or "Plugin not found" in text:
            operator = operators.get(str(one.node_name())) or str(one.node_operator())
            if operator:
                return lacks_operator(engine, operator, where)
    return build_error(engine, where, ValueError(trimmed("\n".join(str(one) for one in told))))


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
        raise Unavailable(
            f"{engine} builds nothing for {capability}; it knows {', '.join(known)}: take the "
            f"runtime tensorrt for such a card"
        )
    return found


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

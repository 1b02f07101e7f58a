"""Which operators of which modules the compiler has put into each kernel.

Inductor writes, if it is asked to, which nodes of its graph are in each kernel, and from which
nodes of the graph that it was given these were made. The nodes of an exported program have the
paths of their modules; the graph that is compiled has the same nodes in the same order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from perfsuite.runtimes.shared.precision import is_layer

GENERATED = "generated kernel"  # what evidence calls those that the compiler wrote
MAPPINGS = "inductor_provenance_tracking_node_mappings.json"
_BY_COMPILER = re.compile(r"(graph_\d+_)?(?P<name>(cpp|triton)_\w+)$")
_PART = re.compile(r"\w+")
_MODEL = re.compile(r"L\['\w+'\]")  # a captured graph's name for what was called
_NOT_PARTS = ("self", "_modules", "self_")


class CodeCall(msgspec.Struct, frozen=True):
    """A call in the compiled code: of a kernel, or of a library's operator.

    `name` is the compiler's, with a number that no other call has, and `origins` are the operators
    in it, as `<module path>/<operator>`. A kernel that the compiler wrote has no products of its
    own: where it has those among its origins, it makes their operands ready, and they come last.
    """

    name: str
    origins: tuple[str, ...] = ()


class Source(NamedTuple):
    """A node of the graph that was given to the compiler: its operator and its module's path."""

    operator: str
    path: str


def code_calls(folder: Path, sources: Mapping[str, Source]) -> tuple[CodeCall, ...]:
    """Return the calls of the only compiled graph in their order, from what Inductor has written.

    `sources` are the nodes of that graph by name. None are returned for several graphs, which run
    in an order that nobody has written down.
    """
    written = sorted(folder.rglob(MAPPINGS))
    if len(written) != 1:
        return ()
    told = json.loads(written[0].read_text())
    nodes, before = told.get("cppCodeToPost", {}), told.get("postToPre", {})
    ordered = sorted(nodes, key=lambda name: int(name.rpartition(":")[2] or 0))
    return tuple(CodeCall(name, _origins(nodes[name], before, sources)) for name in ordered)


def _origins(
    nodes: Iterable[str], before: Mapping[str, Sequence[str]], sources: Mapping[str, Source]
) -> tuple[str, ...]:
    """Return the operators that nodes after the compiler's passes come from, products last."""
    given = (name for node in nodes for name in before.get(node, (node,)))
    found = [sources[name] for name in dict.fromkeys(given) if name in sources]
    found.sort(key=lambda one: is_layer(one.operator))
    return tuple(dict.fromkeys(f"{one.path}/{one.operator}".lstrip("/") for one in found))


def sources_of(graph: Any, program: Any = None) -> dict[str, Source]:
    """Return the nodes of a graph that is to be compiled, by name.

    Their paths are those of the nodes of the exported `program` that it was captured from, if any,
    which has the same operators in the same order; else they are its own.
    """
    nodes = list(_operators(graph))
    owners = nodes if program is None else list(_operators(program))
    if [str(one.target) for one in nodes] != [str(one.target) for one in owners]:
        return {}  # then nobody knows which is which
    return {
        node.name: Source(_operator(node.target), _path(owner.meta.get("nn_module_stack")))
        for node, owner in zip(nodes, owners, strict=True)
    }


def _operators(graph: Any) -> Iterator[Any]:
    """Yield the nodes that call an operator of torch, or that a module's code has called."""
    for node in graph.nodes:
        if node.op in ("call_function", "call_method") and (
            node.meta.get("nn_module_stack") or str(node.target).startswith("aten.")
        ):
            yield node


def _path(stack: Mapping[str, Any] | None) -> str:
    """Return the path of the innermost module; '' for the model itself.

    An exported program has paths, a captured one expressions such as `L['fn'].layers.0`.
    """
    if not stack:
        return ""
    innermost = list(stack.values())[-1]
    text = str(innermost[0] if isinstance(innermost, tuple) else innermost)
    return ".".join(one for one in _PART.findall(_MODEL.sub("", text, 1)) if one not in _NOT_PARTS)


def _operator(target: Any) -> str:
    """Return the name of the function, method or operator of torch that a node calls."""
    if callable(target) and not hasattr(target, "overloads") and not hasattr(target, "_schema"):
        return str(target.__name__)
    return operator_of(str(target))


def operator_of(target: str) -> str:
    """Return the plain name of an operator: `conv2d` of `aten.conv2d.default`."""
    parts = target.removeprefix("torch.ops.").split(".")
    return parts[1] if len(parts) > 1 else parts[0]


class Ran(NamedTuple):
    """Something that ran in a call: its name in the trace, begin and duration in nanoseconds."""

    name: str
    begin: int
    length: int


def aligned(calls: Sequence[CodeCall], ran: Iterable[Ran]) -> Iterator[tuple[Ran, int | None]]:
    """Yield what ran, each with the place of its call in the code; None for what is not in it."""
    place = 0
    for one in ran:
        name = plain_name(one.name)
        ahead = (at for at in range(place, len(calls)) if _called(calls[at]) == name)
        found = next(ahead, None)
        if found is not None:
            place = found + 1
        yield one, found


def plain_name(name: str) -> str:
    """Return the name of a kernel or operator in a trace as the compiled code calls it."""
    if generated := _BY_COMPILER.match(name):
        return generated["name"]
    return name.rpartition("::")[2]


def is_kernel(name: str) -> bool:
    """Tell whether an event of a trace is an operator, or a kernel that the compiler wrote."""
    return "::" in name or _BY_COMPILER.match(name) is not None


def is_generated(name: str) -> bool:
    """Tell whether it is a kernel that the compiler wrote, and no library's."""
    return _BY_COMPILER.match(name) is not None


def _called(call: CodeCall) -> str:
    name = call.name.rpartition(":")[0]
    if name.startswith("torch.ops."):
        return operator_of(name)
    return name.rpartition(".")[2]

"""Channels that can only be removed together: the groups of a model's dependency graph.

Torch-Pruning's graph (Fang et al. 2023, arXiv:2301.12900) says which operation follows which. Its
own index arithmetic is not used: it fails where a net splits and shuffles channels (ShuffleNetV2),
and treats unknown operations as elementwise. Here a group is followed only through operations that
are known to leave every channel in its place. A group that meets any other is refused, with the
reason.
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported
from perfsuite.passes.shared.invocation import arguments, copied, first_line, tensors_in
from perfsuite.passes.shared.layers import convolution_kinds, layer_kinds

if TYPE_CHECKING:
    from torch import nn

Side = Literal["out", "in"]

# Autograd's names of operations that leave every channel in its place.
_POINTWISE = (
    "relu", "leakyrelu", "elu", "hardtanh", "hardswish", "hardsigmoid", "silu", "gelu", "mish",
    "sigmoid", "tanh", "add", "sub", "mul", "div", "clamp", "clone", "tocopy", "dropout",
)  # fmt: skip
_SPATIAL = ("maxpool2d", "avgpool2d", "adaptiveavgpool2d", "mean", "upsample", "nativebatchnorm")
_ZERO_STAYS_ZERO = (
    "relu", "leakyrelu", "elu", "hardtanh", "hardswish", "silu", "gelu", "mish", "tanh", "clone",
)  # fmt: skip
# Autograd's name of the transposition of a linear layer's weights, which is an input of it too.
_TRANSPOSED = "t"


class Member(msgspec.Struct, frozen=True):
    """A module of a group: its result (`out`) or its input (`in`) has the group's channels.

    `repeat` is the number of inputs that a linear layer has for each channel, after flattening.
    """

    path: str
    side: Side
    repeat: int = 1


class Group(msgspec.Struct, frozen=True):
    """`width` channels that all `members` share; `name` is the path of the first that gives them.

    `removable` says that all of them may be removed, because the layers that read them end in a
    sum, where zero can stand for them. `after` are the norms between those layers and the sum.
    """

    name: str
    width: int
    members: tuple[Member, ...]
    removable: bool = False
    after: tuple[str, ...] = ()

    def paths(self, side: Side) -> list[str]:
        """Return the paths of the members on one side."""
        return [member.path for member in self.members if member.side == side]


def channel_groups(model: nn.Module, inputs: Inputs) -> tuple[list[Group], dict[str, str]]:
    """Return the groups of `model`, and why other convolutions and linear layers are in none.

    Raises `Unsupported` for a model that autograd cannot follow.
    """
    nodes = _nodes(copied(model), inputs)  # which changes the module
    closed = _closed(model)
    groups: list[Group] = []
    refused = dict(closed)
    done: set[str] = set()
    for path, module in model.named_modules():
        if not _is_dense(module) or path in done or path in refused:
            continue
        if path not in nodes:
            refused[path] = "it was not called, or nothing that comes of it is an output"
            continue
        walk = _Walk(nodes[path], closed)
        reason = walk.run()
        done.update(walk.producers)
        if reason:
            refused.update(dict.fromkeys(walk.producers, reason))
        else:
            groups.append(walk.group(path, int(module.weight.shape[0])))
    return groups, refused


def _nodes(model: nn.Module, inputs: Inputs) -> dict[str, Any]:
    """Return the nodes of Torch-Pruning's graph by the paths of their modules.

    `model` is changed: it is a copy that nothing else uses.
    """
    import torch
    from torch_pruning import DependencyGraph

    graph = DependencyGraph()
    for parameter in model.parameters():
        parameter.requires_grad_(True)  # a frozen layer leaves no trace
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph.build_dependency(
                model,
                example_inputs=arguments(inputs),
                forward_fn=lambda module, given: module(*given),
                output_transform=lambda answer: list(tensors_in(answer)),
                verbose=False,
            )
    except Exception as error:
        # Its arithmetic on indices, which is done last and not used here, fails on a channel
        # shuffle: by then the nodes are there.
        if not hasattr(graph, "module2node"):
            raise Unsupported(
                f"prune: {type(model).__name__} cannot be traced ({first_line(error)}); every call "
                f"must take the same path, and give tensors that depend on the weights"
            ) from error
    paths = {module: path for path, module in model.named_modules()}
    found: dict[Any, Any] = getattr(graph, "module2node", {})
    nodes = {paths[module]: node for module, node in found.items() if module in paths}
    if not nodes:
        raise Unsupported(
            f"prune: no layer of {type(model).__name__} leads to an output: it must give tensors, "
            f"or tuples, lists or dicts of them, that autograd can follow back to its weights"
        )
    for path, node in nodes.items():
        node.path = path
    return nodes


def _closed(model: nn.Module) -> dict[str, str]:
    """Return the reasons, by path, why modules' weights must keep their shapes.

    They share a parameter with another module, or their weights are computed from other parameters.
    """
    owners: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name.rpartition(".")[0])
    closed = {}
    for paths in owners.values():
        for path in paths:
            other = next((each for each in paths if each != path), None)
            if other is not None:
                closed[path] = f"its weights are also those of {other}"
    for path, module in model.named_modules():
        computed = hasattr(module, "parametrizations") or "weight" not in module._parameters
        if computed and (_is_dense(module) or _is_depthwise(module) or _is_norm(module)):
            closed[path] = "its weights are computed of others (a parametrization)"
    return closed


def _is_dense(module: Any) -> bool:
    return isinstance(module, layer_kinds()) and getattr(module, "groups", 1) == 1


def _is_depthwise(module: Any) -> bool:
    return (
        isinstance(module, convolution_kinds())
        and module.groups == module.in_channels == module.out_channels
        and module.groups > 1
    )


def _is_norm(module: Any) -> bool:
    from torch import nn

    return isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)


class _Refusal(Exception):
    pass


class _Walk:
    """Follows the channels of one layer's result to all modules that must change with them."""

    def __init__(self, root: Any, closed: dict[str, str]) -> None:
        self.root, self.closed = root, closed
        self.seen: set[int] = set()
        self.producers: list[str] = []
        self.passed: list[str] = []  # norms and depthwise convolutions
        self.consumers: Counter[tuple[str, int]] = Counter()
        self.readers: list[Any] = []
        self.pointwise: list[str] = []
        self.width = int(root.module.weight.shape[0])

    def run(self) -> str:
        """Return why the channels cannot be cut; '' if they can."""
        waiting = [self.root]
        try:
            while waiting:
                node = waiting.pop()
                if id(node) not in self.seen:
                    self.seen.add(id(node))
                    waiting += self._visit(node)
        except _Refusal as refusal:
            return str(refusal)
        return ""

    def _visit(self, node: Any) -> list[Any]:
        """Return the neighbours of `node` whose outputs have the same channels as its output."""
        module, more = node.module, []
        if _is_dense(module):
            self._own(node.path)
            if int(module.weight.shape[0]) != self.width:
                raise _Refusal(f"its channels are added to the {len(module.weight)} of {node.path}")
            self.producers.append(node.path)
        elif _is_norm(module) or _is_depthwise(module):
            self._own(node.path)
            self.passed.append(node.path)
            more += node.inputs
        else:
            self._known(node)
            more += node.inputs
        if not node.outputs:
            raise _Refusal("its channels are an output of the model")
        for follower in node.outputs:
            more += self._follow(follower)
        return more

    def _follow(self, node: Any) -> list[Any]:
        if _is_dense(node.module):
            self._read(node, 1)
            return _sources(node)  # several, if the layer is called more than once
        if "Reshape" in type(node.module).__name__:
            for reader in node.outputs:
                if type(reader.module).__name__ != "Linear" or len(_sources(reader)) > 1:
                    raise _Refusal("its channels are reshaped")
                self._read(reader, reader.module.in_features // self.width)
            return []
        return [node]

    def _read(self, node: Any, repeat: int) -> None:
        self._own(node.path)
        if node.module.weight.shape[1] != self.width * repeat:
            raise _Refusal(f"its channels are rearranged before {node.path}")
        self.consumers[node.path, repeat] += 1
        self.readers.append(node)

    def _own(self, path: str) -> None:
        if path in self.closed:
            raise _Refusal(f"{path} has its channels, and {self.closed[path]}")

    def _known(self, node: Any) -> None:
        name = _operation(node)
        if not name.startswith((*_POINTWISE, *_SPATIAL)):
            kind = type(node.module).__name__
            own = hasattr(node, "path")  # a module of the model, not an operation
            what = f"{node.path}, a {kind}" if own else name or kind
            raise _Refusal(f"its channels go through {what}")
        self.pointwise.append(name)

    def group(self, name: str, width: int) -> Group:
        """Return the group that was walked; `run` must have returned ''."""
        members = [Member(path, "out") for path in (*self.producers, *self.passed)]
        members += [Member(path, "in", repeat) for path, repeat in self.consumers]
        after = self._branch()
        return Group(name, width, tuple(members), after is not None, after or ())

    def _branch(self) -> tuple[str, ...] | None:
        """Return the norms between the readers and a sum; None if a reader does not end in a sum.

        A removed branch is replaced by zero, so every operation between the channels and their
        readers must map zero to zero.
        """
        if not all(name.startswith(_ZERO_STAYS_ZERO) for name in self.pointwise):
            return None
        norms = []
        for node in self.readers:
            while True:
                if len(node.outputs) != 1:
                    return None
                node = node.outputs[0]
                if not _is_norm(node.module):
                    break
                norms.append(node.path)
            if _operation(node) != "add" or len(node.inputs) < 2:
                return None
        return tuple(norms)


def _sources(node: Any) -> list[Any]:
    """Return the nodes whose channels a layer reads, in all its calls."""
    return [source for source in node.inputs if _operation(source) != _TRANSPOSED]


def _operation(node: Any) -> str:
    """Return autograd's name for the operation of a node, in small letters, such as `cat`."""
    if node.grad_fn is not None and hasattr(node.grad_fn, "name"):
        return str(node.grad_fn.name()).lower().rpartition("::")[2].partition("backward")[0]
    return ""

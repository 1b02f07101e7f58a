"""Channels that can only be removed together: the groups of a net.

A call of the net is followed operation by operation (`following.py`), and positions along the axes
of its parameters are tied to each other where an operation needs it. What then goes together is a
*unit*: a channel through a residual sum, a whole group of a grouped convolution, a head of
attention. Units that lie in the same tensors are a group. A unit that meets an operation that is
not known, or that makes one value of several channels, stays, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.passes.prune.branches import Branches
from perfsuite.passes.prune.following import attributes_of, followed, settled
from perfsuite.passes.prune.heads import can_lose_heads
from perfsuite.passes.prune.positions import Labels
from perfsuite.passes.prune.sizes import weighted_kinds, why_fixed

if TYPE_CHECKING:
    from torch import nn

Side = Literal["out", "in", "size"]


class Member(msgspec.Struct, frozen=True):
    """What a group has along one axis of a parameter or buffer, or counted by an attribute.

    `name` is its name in the model, such as `stem.weight`; `places` has the positions of each
    unit along the axis. Side `out`: they are channels of a result; `in`: they multiply channels;
    `size`: an attribute, such as `stem.groups`, that becomes less by as many.
    """

    name: str
    side: Side
    places: tuple[tuple[int, ...], ...]
    axis: int = 0

    @property
    def path(self) -> str:
        """Return the path of the module that it belongs to."""
        return self.name.rpartition(".")[0]

    @property
    def repeat(self) -> int:
        """Return the number of positions of each unit."""
        return len(self.places[0])


class Group(msgspec.Struct, frozen=True):
    """`width` units that all `members` share.

    `name` is the path of the first layer that gives them. A second group of the same layer is
    called `path#2`. `removable` says that all units may be removed, because the layers that read
    them end in a sum, where zero can stand for them. `after` are the norms between those layers and
    the sum.
    """

    name: str
    width: int
    members: tuple[Member, ...]
    removable: bool = False
    after: tuple[str, ...] = ()

    def paths(self, side: Side) -> list[str]:
        """Return the paths of the modules with members on one side."""
        return list(dict.fromkeys(each.path for each in self.members if each.side == side))

    @property
    def layer(self) -> str:
        """Return the path of the first layer that gives these channels."""
        return self.name.partition("#")[0]


def channel_groups(model: nn.Module, inputs: Inputs) -> tuple[list[Group], dict[str, str]]:
    """Return the groups of `model`, and why other convolutions and linear layers are in none.

    Raises `Unsupported` for a model that fails or gives no tensors.
    """
    return Channels(model, inputs).groups()


class Channels:
    """A net's call, followed once, of which groups can be made in several ways."""

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        self.trace, self.axes, self.outputs = followed(model, inputs)
        self.modules = dict(model.named_modules())
        self.fixed = why_fixed(model)
        self.givers = {
            _joined(path, "in_proj_weight" if can_lose_heads(module) else "weight")
            for path, module in self.modules.items()
            if isinstance(module, weighted_kinds()) or can_lose_heads(module)
        }
        self._fix()
        self.before = self.trace.positions

    def _fix(self) -> None:
        """Let the positions stay of what cannot get another shape."""
        for axis in self.axes:
            path, _, name = axis.name.rpartition(".")
            why = self.fixed.get(axis.name)
            if name == "in_proj_weight" and axis.axis == 1:
                why = "it is a MultiheadAttention, which keeps the width of its input"
            if why:
                self.trace.positions.freeze(
                    axis.labels, f"{path or axis.name} has its channels, and {why}"
                )

    def groups(
        self, outer: Iterable[str] = (), counted: Iterable[str] = ()
    ) -> tuple[list[Group], dict[str, str]]:
        """Return the groups, and why layers are in none.

        Where channels are cut up into rows and columns, by a view, each row loses as many columns;
        in the groups of the layers `outer` whole rows go. In those of `counted` attributes of the
        module whose code cuts them up become less, if they are the number of rows or columns.
        """
        outside, counts = set(outer), set(counted)
        self.trace.positions = self.before.copy()
        found = settled(self.trace, lambda number: bool(outside & self._layers_at(number)))
        sizes = [(size.name, size.labels) for size in self.trace.sizes]
        for number, labels in found.items():
            if counts and counts & self._layers_at(number):
                path = self.trace.cuts[number].path
                module = self.modules.get(path)
                for name in attributes_of(module, len(labels)):
                    sizes.append((f"{path}.{name}", labels))
        return _Grouping(self, dict(sizes)).run()

    def has_forms(self, layer: str) -> bool:
        """Tell whether the channels of a layer are cut up somewhere."""
        return any(layer in self._layers_at(number) for number in range(len(self.trace.cuts)))

    def _layers_at(self, number: int) -> set[str]:
        """Return the layers that give the channels of a cut, as they were before it was settled."""
        if not hasattr(self, "_at"):
            self._at = self._all_layers()
        return self._at[number]

    def _all_layers(self) -> list[set[str]]:
        givers: dict[int, set[str]] = {}
        for axis in self.axes:
            path = axis.name.rpartition(".")[0]
            if axis.name in self.givers:
                for root in set(self.before.find(axis.labels).tolist()):
                    givers.setdefault(root, set()).add(path)
        return [
            set().union(
                *(givers.get(r, set()) for r in set(self.before.find(c.labels).ravel().tolist()))
            )
            for c in self.trace.cuts
        ]


class _Grouping:
    """Makes groups of the classes of a net's positions."""

    def __init__(self, channels: Channels, sizes: dict[str, Labels]) -> None:
        self.channels, self.trace = channels, channels.trace
        self.positions = self.trace.positions
        self.read = {
            int(first) for labels in self.trace.read for first in np.unique(self._owner(labels))
        }
        self.branches = Branches(channels)
        # By root: the places along each axis, and then those of each attribute.
        self.units: dict[int, dict[int, list[int]]] = {}
        for number, axis in enumerate(channels.axes):
            self._collect(number, axis.labels)
        self.sizes = list(sizes.items())
        for number, (_, labels) in enumerate(self.sizes):
            self._collect(len(channels.axes) + number, labels)

    def _owner(self, labels: Labels) -> Any:
        """Return the numbers of the axes that positions of parameters belong to."""
        starts = np.array([int(axis.labels[0]) for axis in self.channels.axes])
        return np.searchsorted(starts, labels[labels >= 0], "right") - 1

    def _collect(self, number: int, labels: Labels) -> None:
        for place, root in enumerate(self.positions.find(labels).tolist()):
            if root >= 0:
                self.units.setdefault(root, {}).setdefault(number, []).append(place)

    def run(self) -> tuple[list[Group], dict[str, str]]:
        alike: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for root, unit in self.units.items():
            if not self._why(root):
                signature = tuple(sorted((number, len(places)) for number, places in unit.items()))
                alike.setdefault(signature, []).append(root)
        groups = [self._group(signature, roots) for signature, roots in alike.items()]
        order = {path: place for place, path in enumerate(self.channels.modules)}
        groups.sort(key=lambda group: order[group.name])
        named: list[Group] = []
        for group in groups:
            again = sum(each.layer == group.name for each in named)
            name = f"{group.name}#{again + 1}" if again else group.name
            named.append(msgspec.structs.replace(group, name=name))
        inside = {path for group in named for path in group.paths("out")}
        layers = [p for p, m in self.channels.modules.items() if _prunes(m) and p not in inside]
        return named, {path: self._left(path) for path in layers}

    def _why(self, root: int) -> str:
        """Return why a unit is none that could go; '' if it is one."""
        unit = self.units[root]
        if why := self.positions.why(root):
            return why
        if not any(number in self.read for number in unit):
            return "it was not called, or no layer reads its channels"
        if not any(self._gives(number) for number in unit):
            return "no layer gives these channels"
        if any(
            len(unit[number]) == len(self.channels.axes[number].labels)
            for number in unit
            if number < len(self.channels.axes)
        ):
            return f"all its channels could only go together{self._cut_up(root)}"
        return ""

    def _cut_up(self, root: int) -> str:
        """Return where a unit's channels are cut up, in the code; '' if nowhere."""
        if not hasattr(self, "_lines"):
            self._lines = {
                place: cut.line
                for cut in reversed(self.trace.cuts)
                if cut.line
                for place in np.unique(self.positions.find(cut.labels)).tolist()
            }
        line = self._lines.get(root, "")
        return f": they are split, shuffled or joined at {line}" if line else ""

    def _gives(self, number: int) -> bool:
        if number >= len(self.channels.axes) or number in self.read:
            return False
        return self.channels.axes[number].name in self.channels.givers

    def _group(self, signature: Sequence[tuple[int, int]], roots: Sequence[int]) -> Group:
        members = tuple(self._member(number, roots) for number, _ in signature)
        givers = {
            self.channels.axes[number].name.rpartition(".")[0]
            for number, _ in signature
            if self._gives(number)
        }
        name = next(path for path in self.channels.modules if path in givers)
        after = self.branches.of(members, roots)
        return Group(name, len(roots), members, after is not None, after or ())

    def _member(self, number: int, roots: Sequence[int]) -> Member:
        places = tuple(tuple(self.units[root][number]) for root in roots)
        if number >= len(self.channels.axes):
            return Member(self.sizes[number - len(self.channels.axes)][0], "size", places)
        axis = self.channels.axes[number]
        return Member(axis.name, "in" if number in self.read else "out", places, axis.axis)

    def _left(self, path: str) -> str:
        """Return why none of a layer's channels could go."""
        module = self.channels.modules[path]
        own = self.channels.fixed.get(_joined(path, "weight"))
        if own:
            return own
        transposed = type(module).__name__.startswith("ConvTranspose")
        for axis in self.channels.axes:
            if axis.name == _joined(path, "weight") and axis.axis == (1 if transposed else 0):
                roots = dict.fromkeys(self.positions.find(axis.labels).tolist())
                return next(filter(None, (self._why(root) for root in roots)), "")
        return "it has one channel"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _prunes(module: Any) -> bool:
    return isinstance(module, weighted_kinds())

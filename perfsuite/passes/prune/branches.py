"""Which groups may go as a whole: those within a branch that ends in a sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.passes.prune.sizes import is_norm, weighted_kinds

if TYPE_CHECKING:
    from perfsuite.passes.prune.channels import Channels, Member

_ZERO_STAYS_ZERO = {
    "relu", "leaky_relu", "elu", "hardtanh", "hardswish", "silu", "gelu", "mish", "tanh", "clone",
    "detach", "alias", "dropout",
}  # fmt: skip


class Branches:
    """Finds the branches of a net whose positions have been tied."""

    def __init__(self, channels: Channels) -> None:
        self.channels, self.nodes = channels, channels.trace.nodes
        self.reads = [self._roots([n.reads] if n.reads is not None else []) for n in self.nodes]
        self.gives = [self._roots(node.facets) for node in self.nodes]
        self.followers: dict[int, list[int]] = {}
        for number, node in enumerate(self.nodes):
            for before in node.inputs:
                self.followers.setdefault(before, []).append(number)

    def _roots(self, labels: Sequence[np.ndarray]) -> set[int]:
        find = self.channels.trace.positions.find
        return {root for each in labels for root in np.unique(find(each)).tolist()}

    def of(self, members: Sequence[Member], roots: Sequence[int]) -> tuple[str, ...] | None:
        """Return the norms between a group's readers and a sum; None if a reader ends in none.

        A removed branch is replaced by zero, so every operation between the channels and their
        readers must map zero to zero, and every tensor of the group must be a layer's or a norm's.
        """
        for member in members:
            module = self.channels.modules.get(member.path)
            if not (isinstance(module, weighted_kinds()) or is_norm(module)):
                return None
            if member.side == "in" and member.repeat * len(member.places) < _side(module, member):
                return None
        readers = {member.path for member in members if member.side == "in"}
        owners = {member.path for member in members}
        norms: list[str] = []
        for place, node in enumerate(self.nodes):
            if not self.reads[place].isdisjoint(roots):
                found = self._behind(place, readers)
                if found is None:
                    return None
                norms += found
            elif (
                node.path not in owners
                and not self.gives[place].isdisjoint(roots)
                and node.name.removesuffix("_") not in _ZERO_STAYS_ZERO
            ):
                return None
        return tuple(dict.fromkeys(norms))

    def _behind(self, place: int, readers: set[str]) -> list[str] | None:
        """Return the norms between a reader and the sum behind it; None if there is no such sum."""
        own = self.nodes[place].path
        if own not in readers:
            return None
        norms: list[str] = []
        while True:
            followers = self.followers.get(place, [])
            if place in self.channels.outputs or len(followers) != 1:
                return None
            place = followers[0]
            node = self.nodes[place]
            if node.path == own or node.path in norms:
                continue
            if is_norm(self.channels.modules.get(node.path)):
                norms.append(node.path)
            elif node.name.removesuffix("_") == "add" and node.activations >= 2:
                return norms
            elif node.name != "dropout":
                return None


def _side(module: Any, member: Member) -> int:
    return int(module.get_parameter(member.name.rpartition(".")[2]).shape[member.axis])

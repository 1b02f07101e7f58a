"""Which groups may go as a whole: those within a branch that ends in a sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.passes.prune.operations import Node
from perfsuite.passes.prune.sizes import is_norm, weighted_kinds

if TYPE_CHECKING:
    from perfsuite.passes.prune.channels import Channels, Member

_ZERO_STAYS_ZERO = {
    "relu", "leaky_relu", "elu", "hardtanh", "hardswish", "silu", "gelu", "mish", "tanh", "clone",
    "detach", "alias", "dropout",
}  # fmt: skip


def branch(
    channels: Channels, members: Sequence[Member], roots: np.ndarray
) -> tuple[str, ...] | None:
    """Return the norms between a group's readers and a sum; None if a reader does not end in one.

    A removed branch is replaced by zero, so every operation between the channels and their readers
    must map zero to zero, and every tensor of the group must be a layer's or a norm's.
    """
    for member in members:
        module = channels.modules.get(member.path)
        if not (isinstance(module, weighted_kinds()) or is_norm(module)):
            return None
        if member.side == "in" and member.repeat * len(member.places) < _side(module, member):
            return None
    readers = {member.path for member in members if member.side == "in"}
    owners = {member.path for member in members}
    norms: list[str] = []
    for place, node in enumerate(channels.trace.nodes):
        if node.reads is not None and np.isin(_roots(channels, node.reads), roots).any():
            found = _behind(channels, place, readers)
            if found is None:
                return None
            norms += found
        elif (
            node.path not in owners
            and any(np.isin(_roots(channels, facet), roots).any() for facet in node.facets)
            and node.name.removesuffix("_") not in _ZERO_STAYS_ZERO
        ):
            return None
    return tuple(dict.fromkeys(norms))


def _side(module: Any, member: Member) -> int:
    return int(module.get_parameter(member.name.rpartition(".")[2]).shape[member.axis])


def _roots(channels: Channels, labels: np.ndarray) -> np.ndarray:
    return np.unique(channels.trace.positions.find(labels))


def _behind(channels: Channels, place: int, readers: set[str]) -> list[str] | None:
    """Return the norms between a reader and the sum behind it; None if there is no such sum."""
    if channels.trace.nodes[place].path not in readers:
        return None
    norms: list[str] = []
    own = channels.trace.nodes[place].path
    while True:
        followers = _followers(channels, place)
        if place in channels.outputs or len(followers) != 1:
            return None
        place = followers[0]
        node: Node = channels.trace.nodes[place]
        if node.path == own or node.path in norms:
            continue
        if is_norm(channels.modules.get(node.path)):
            norms.append(node.path)
        elif node.name.removesuffix("_") == "add" and node.activations >= 2:
            return norms
        elif node.name != "dropout":
            return None


def _followers(channels: Channels, place: int) -> list[int]:
    if not hasattr(channels, "_followers"):
        found: dict[int, list[int]] = {}
        for number, node in enumerate(channels.trace.nodes):
            for before in node.inputs:
                found.setdefault(before, []).append(number)
        channels._followers = found  # type: ignore[attr-defined]
    return channels._followers.get(place, [])  # type: ignore[attr-defined,no-any-return]

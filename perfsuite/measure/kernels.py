"""The mean time, arithmetic and bytes moved of each kernel of a profile, over the usual calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum, isfinite
from typing import NamedTuple

import numpy as np

from perfsuite.domain.profile import Kernel, Node, Profile
from perfsuite.errors import PerfsuiteError, Unsupported

_FEW = 4  # calls; for fewer, quartiles mean nothing
# Times are rounded to 2**-40 s, about a picosecond. Sums of such doubles up to two hours have no
# rounding errors, so rows add up exactly.
_UNIT_S = 2.0**-40


class Times(NamedTuple):
    """Means over `calls` calls, in seconds; a start is None where the engine reports none."""

    calls: int
    total_s: float
    kernels_s: tuple[float, ...]
    starts_s: tuple[float | None, ...]

    @property
    def overhead_s(self) -> float:
        """Return the time outside of all kernels, in seconds."""
        return self.total_s - sum(self.kernels_s)


class KernelWork(NamedTuple):
    """The work of one kernel; None where it cannot be counted."""

    macs: int | None
    parameters: int | None
    bytes: int | None


def mean_times(profile: Profile) -> Times:
    """Return the mean times over the calls whose wall time lies within the quartiles.

    With fewer than 4 calls, it is the mean over all. Raises `Unsupported` if the kernels take
    longer than the calls, `PerfsuiteError` for a profile that contradicts itself.
    """
    _check(profile)
    chosen = _usual_calls(profile.walls_s)

    def mean(values: Sequence[float]) -> float:
        return round(fsum(values[i] for i in chosen) / len(chosen) / _UNIT_S) * _UNIT_S

    times = tuple(mean(kernel.times_s) for kernel in profile.kernels)
    total, busy = mean(profile.walls_s), sum(times)
    if total < busy <= total + (len(times) + 1) * _UNIT_S:
        total = busy  # the kernels fill the call, up to rounding
    if busy > total:
        raise Unsupported(
            f"the kernels of a call take {busy:.6g} s, the call itself {total:.6g} s: their times "
            "do not add up, because kernels ran at the same time, or the engine counts what it "
            "does outside of calls; let it run one after another (one stream, sequential execution)"
        )
    starts = tuple(mean(one.starts_s) if one.starts_s else None for one in profile.kernels)
    return Times(len(chosen), total, times, starts)


def kernel_work(
    kernels: Sequence[Kernel], times_s: Sequence[float], nodes: Sequence[Node]
) -> tuple[list[KernelWork], list[Node]]:
    """Return the work of each kernel, and the nodes that belong to no kernel.

    Where the engine reports the work itself, that is used. A node that became several kernels is
    counted for the longest. A node without products that no kernel names was merged: into the
    kernel of its input, or, if it dequantizes or reads constants only, into the kernel that reads
    its result. Values that stay inside a kernel move no bytes. A kernel that the engine inserted
    does none of the model's work.
    """
    holders = _holders(kernels, nodes)
    own: list[list[int]] = [[] for _ in kernels]
    inside: list[list[int]] = [[] for _ in kernels]
    for place, held in sorted(holders.items()):
        longest = max(sorted(held), key=lambda at: times_s[at])
        own[longest].append(place)
        if nodes[place].macs != 0:
            holders[place] = {longest}
        # A node without products may be recomputed in each kernel that needs its result.
        for at in holders[place]:
            inside[at].append(place)
    names = {node.name for node in nodes}
    traffic = _Traffic(nodes, holders)
    found = []
    for index, kernel in enumerate(kernels):
        known = not kernel.origins or not names.isdisjoint(kernel.origins)
        macs = total(nodes[one].macs for one in own[index]) if known else None
        moved = traffic.moved(inside[index]) if known else None
        found.append(
            KernelWork(
                macs if kernel.macs is None else kernel.macs,
                sum(nodes[one].parameters for one in own[index]) if nodes else None,
                moved if kernel.bytes is None else kernel.bytes,
            )
        )
    return found, [node for place, node in enumerate(nodes) if place not in holders]


def total(values: Iterable[int | None]) -> int | None:
    """Return the sum, or None if one of them is None."""
    result = 0
    for value in values:
        if value is None:
            return None
        result += value
    return result


def _check(profile: Profile) -> None:
    calls = len(profile.walls_s)
    if not calls:
        raise PerfsuiteError("a profile without any call: the engine recorded nothing")
    for name, times in (
        ("the call", profile.walls_s),
        *((f"kernel '{one.name}'", one.times_s) for one in profile.kernels),
        *((f"kernel '{one.name}'", one.starts_s) for one in profile.kernels if one.starts_s),
    ):
        if len(times) != calls:
            raise PerfsuiteError(
                f"profile: {name} has {len(times)} times for {calls} calls; the engine must give "
                "one a call, for kernels that run in every call"
            )
        if not all(isfinite(value) and value >= 0 for value in times):
            raise PerfsuiteError(f"profile: {name} has a time that is negative or not finite")


def _usual_calls(walls_s: Sequence[float]) -> list[int]:
    if len(walls_s) < _FEW:
        return list(range(len(walls_s)))
    low, high = np.percentile(walls_s, (25, 75))
    return [index for index, wall in enumerate(walls_s) if low <= wall <= high]


def _holders(kernels: Sequence[Kernel], nodes: Sequence[Node]) -> dict[int, set[int]]:
    """Return the kernels that each node is part of, all as indices; others have no entry."""
    by_name: dict[str, int] = {}
    for index, node in enumerate(nodes):
        by_name.setdefault(node.name, index)
    holders: dict[int, set[int]] = {}
    for kernel, one in enumerate(kernels):
        for origin in one.origins:
            if origin in by_name:
                holders.setdefault(by_name[origin], set()).add(kernel)
    makers = {name: index for index, node in enumerate(nodes) for name in node.outputs}
    readers = _readers(nodes)
    for index, node in enumerate(nodes):
        if index in holders or node.macs != 0 or node.kind == "DequantizeLinear":
            continue
        maker = next((makers[name] for name in node.inputs if name in makers), None)
        if maker in holders:
            holders[index] = set(holders[maker])
    for index, node in reversed(tuple(enumerate(nodes))):
        if index in holders or node.macs != 0:
            continue
        below = {reader for name in node.outputs for reader in readers.get(name, ())}
        found = {kernel for reader in below for kernel in holders.get(reader, ())}
        if found:
            holders[index] = found
    return holders


class _Traffic:
    """Counts the bytes that kernels read from memory and write to it."""

    def __init__(self, nodes: Sequence[Node], holders: dict[int, set[int]]) -> None:
        self.nodes, self.holders, self.readers = nodes, holders, _readers(nodes)

    def moved(self, group: Sequence[int]) -> int | None:
        """Return the bytes that a kernel made of the nodes in `group` reads and writes."""
        separate = total(self.nodes[index].bytes for index in group)
        if len(group) == 1 or separate == 0:
            return separate
        made = {name for index in group for name in self.nodes[index].outputs}
        sizes: dict[str, int | None] = {}
        for index in group:
            node = self.nodes[index]
            names = (*node.inputs, *node.outputs)
            known = node.sizes or (None,) * len(names)
            for place, (name, size) in enumerate(zip(names, known, strict=True)):
                reads = place < len(node.inputs)
                if name in made if reads else self._stays(index, name):
                    continue
                other = sizes.get(name, 0)
                sizes[name] = None if size is None or other is None else max(size, other)
        return total(sizes.values())

    def _stays(self, maker: int, name: str) -> bool:
        """Tell whether all readers of a value are in a kernel that also makes it."""
        readers = self.readers.get(name, [])
        makers = self.holders[maker]
        return bool(readers) and all(
            reader in self.holders and self.holders[reader] <= makers for reader in readers
        )


def _readers(nodes: Sequence[Node]) -> dict[str, list[int]]:
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        for name in node.inputs:
            readers.setdefault(name, []).append(index)
    return readers

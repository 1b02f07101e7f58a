"""What each kernel of a profile took, computed and moved, on average over the usual calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import fsum, isfinite
from typing import NamedTuple

import numpy as np

from perfsuite.domain.profile import Kernel, Node, Profile
from perfsuite.errors import PerfsuiteError, Unsupported

_FEW = 4  # calls: below, quartiles say nothing
# Times are rounded to 2**-40 s (a picosecond): doubles hold sums of them without an error, in any
# order, up to two hours. So rows add up exactly.
_UNIT_S = 2.0**-40


class Times(NamedTuple):
    """Means over the same `calls` calls; `starts_s` has None where the engine gives none."""

    calls: int
    total_s: float
    kernels_s: tuple[float, ...]
    starts_s: tuple[float | None, ...]

    @property
    def overhead_s(self) -> float:
        """Return the time outside of all kernels."""
        return self.total_s - sum(self.kernels_s)


class Work(NamedTuple):
    """None is what cannot be counted."""

    macs: int | None
    parameters: int | None
    bytes: int | None


def mean_times(profile: Profile) -> Times:
    """Return the mean times over the calls whose wall time lies within the quartiles.

    Over all calls where there are fewer than 4. Raises `Unsupported` when the kernels take longer
    than the calls, `PerfsuiteError` for a profile that contradicts itself.
    """
    _check(profile)
    chosen = _usual_calls(profile.walls_s)

    def mean(values: Sequence[float]) -> float:
        return round(fsum(values[i] for i in chosen) / len(chosen) / _UNIT_S) * _UNIT_S

    times = tuple(mean(kernel.times_s) for kernel in profile.kernels)
    total, busy = mean(profile.walls_s), sum(times)
    if total < busy <= total + (len(times) + 1) * _UNIT_S:
        total = busy  # kernels fill the call: no more than the rounding is between
    if busy > total:
        raise Unsupported(
            f"the kernels of a call take {busy:.6g} s, the call itself {total:.6g} s: kernels ran "
            "at the same time, so their times do not add up; let the engine run one after another "
            "(one stream, sequential execution)"
        )
    starts = tuple(mean(one.starts_s) if one.starts_s else None for one in profile.kernels)
    return Times(len(chosen), total, times, starts)


def kernel_work(
    kernels: Sequence[Kernel], times_s: Sequence[float], nodes: Sequence[Node]
) -> tuple[list[Work], list[Node]]:
    """Return what each kernel did, and the nodes that none of them stands for.

    What an engine knows itself comes first. A node that became several kernels counts for the
    longest. A node without products that no kernel names was merged away: into what makes its
    input, or, for what dequantizes or reads constants alone, into what reads its result. Inside of
    a kernel nothing moves: its bytes are the values that come from outside or are read there. A
    kernel that the engine put in by itself does none of the model's work.
    """
    owners = _owners(kernels, times_s, nodes)
    _merge(nodes, owners)
    groups: dict[int, set[int]] = {}
    for index, owner in owners.items():
        groups.setdefault(owner, set()).add(index)
    names = {node.name for node in nodes}
    readers = _readers(nodes)
    found = []
    for index, kernel in enumerate(kernels):
        places = groups.get(index, set())
        group = [nodes[i] for i in places]
        known = not kernel.origins or not names.isdisjoint(kernel.origins)
        macs = total(node.macs for node in group) if known else None
        moved = _moved(nodes, places, readers) if known else None
        found.append(
            Work(
                macs if kernel.macs is None else kernel.macs,
                sum(node.parameters for node in group) if nodes else None,
                moved if kernel.bytes is None else kernel.bytes,
            )
        )
    return found, [node for index, node in enumerate(nodes) if index not in owners]


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


def _owners(
    kernels: Sequence[Kernel], times_s: Sequence[float], nodes: Sequence[Node]
) -> dict[int, int]:
    """Return the kernel that stands for each node, both as indices."""
    by_name: dict[str, int] = {}
    for index, node in enumerate(nodes):
        by_name.setdefault(node.name, index)
    owners: dict[int, int] = {}
    for kernel, one in enumerate(kernels):
        for index in (by_name[origin] for origin in one.origins if origin in by_name):
            if index not in owners or times_s[owners[index]] < times_s[kernel]:
                owners[index] = kernel
    return owners


def _merge(nodes: Sequence[Node], owners: dict[int, int]) -> None:
    """Add to `owners` the nodes that no kernel names, where it follows which took them in."""
    makers = {name: index for index, node in enumerate(nodes) for name in node.outputs}
    readers = _readers(nodes)
    for index, node in enumerate(nodes):
        if index in owners or node.macs != 0 or node.kind == "DequantizeLinear":
            continue
        made = [makers[name] for name in node.inputs if name in makers]
        if made and made[0] in owners:
            owners[index] = owners[made[0]]
    for index, node in reversed(tuple(enumerate(nodes))):
        if index in owners or node.macs != 0:
            continue
        for reader in (one for name in node.outputs for one in readers.get(name, ())):
            if reader in owners:
                owners[index] = owners[reader]
                break


def _moved(nodes: Sequence[Node], places: set[int], readers: dict[str, list[int]]) -> int | None:
    """Return the bytes that one kernel made of the nodes at `places` reads and writes."""
    group = [nodes[index] for index in sorted(places)]
    separate = total(node.bytes for node in group)
    if len(group) == 1 or separate == 0:
        return separate
    made = {name for node in group for name in node.outputs}
    kept = {name for name in made if name in readers and places.issuperset(readers[name])}
    sizes: dict[str, int] = {}
    for node in group:
        names = (*node.inputs, *node.outputs)
        if len(node.sizes) != len(names):
            return None
        for place, (name, size) in enumerate(zip(names, node.sizes, strict=True)):
            if name in kept or (name in made and place < len(node.inputs)):
                continue
            if size is None:
                return None
            sizes[name] = max(size, sizes.get(name, 0))
    return sum(sizes.values())


def _readers(nodes: Sequence[Node]) -> dict[str, list[int]]:
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        for name in node.inputs:
            readers.setdefault(name, []).append(index)
    return readers

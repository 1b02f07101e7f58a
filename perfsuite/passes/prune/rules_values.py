"""What operations on values make of facets: elementwise ones, sums, norms, pools."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from perfsuite.passes.prune.operations import Facets, Operation, Size, Trace, along
from perfsuite.passes.prune.positions import Labels, varying

Result = list[Facets] | None
Operand = tuple[Sequence[int], Facets]  # the shape of a tensor, and its facets


def merged(trace: Trace, rank: int, operands: Sequence[Operand]) -> Facets:
    """Return the facets of an elementwise result with `rank` axes; operands are broadcast.

    What lies at one place goes together, and stays where it meets a tensor that has no channels
    there, but several places.
    """
    placed = [(_padded(shape, rank), [_raised(f, rank) for f in fs]) for shape, fs in operands]
    kept: list[Labels] = []
    for index, (_, facets) in enumerate(placed):
        for facet in facets:
            fixed = any(
                other != index and sides[axis] > 1 and all(each.shape[axis] == 1 for each in others)
                for other, (sides, others) in enumerate(placed)
                for axis in varying(facet)
            )
            if fixed:
                trace.freeze(facet, "meet a tensor that keeps its size")
            if fixed and int(facet.min()) >= trace.first_made:
                continue  # a tensor that the forward makes, of that size
            for mine in kept:
                if set(varying(mine)) & set(varying(facet)):
                    trace.tie(mine, facet)
            kept.append(facet)
    return _distinct(kept)


def _distinct(facets: Sequence[Labels]) -> Facets:
    """Return the facets but for those whose axes another has too: they have been tied."""
    axes = [set(varying(facet)) for facet in facets]
    return tuple(
        facet
        for index, facet in enumerate(facets)
        if axes[index]
        and not any(
            axes[index] < more or (axes[index] == more and other < index)
            for other, more in enumerate(axes)
        )
    )


def _padded(shape: Sequence[int], rank: int) -> list[int]:
    return [1] * (rank - len(shape)) + list(shape)


def _raised(facet: Labels, rank: int) -> Labels:
    return facet.reshape(_padded(facet.shape, rank))


def elementwise(trace: Trace, op: Operation) -> Result:
    """Every value of the result is of the values at its place."""
    operands = [(t.shape, trace.facets(t)) for t in op.tensors]
    return [merged(trace, r.ndim, operands) if r.ndim else () for r in op.results]


def same(trace: Trace, op: Operation) -> Result:
    """The result has the form of the first tensor."""
    return [trace.facets(op.first)] * len(op.results)


def copied_into(trace: Trace, op: Operation) -> Result:
    """The first tensor is filled with the second; it may be a view of another."""
    into, source = op.tensors[:2]
    merged(trace, into.ndim, [(t.shape, trace.facets(t)) for t in (into, source)])
    return [trace.facets(into)]


def made(trace: Trace, op: Operation) -> Result:
    """A tensor is made; its sizes may follow from others'."""
    return [trace.made(result) for result in op.results]


made.makes = True  # type: ignore[attr-defined]


def reduced(trace: Trace, op: Operation) -> Result:
    """Axes become one value: a mean, a sum, a maximum."""
    given = op.first
    if op["other"] is not None:
        return elementwise(trace, op)  # the greater of two tensors
    axes = _axes(op["dim"], given.ndim)
    found = []
    for facet in trace.facets(given):
        rest = trace.collapse(facet, axes, op)
        if op.results[0].ndim != given.ndim:
            rest = rest.reshape([s for axis, s in enumerate(rest.shape) if axis not in axes])
        found.append(rest)
    return [_distinct(found)] * len(op.results)


def scanned(trace: Trace, op: Operation) -> Result:
    """Along an axis, each value depends on all: softmax, a sum so far, sorting."""
    axes = _axes(op["dim"], op.first.ndim)
    return [_kept(trace, op, axes)] * len(op.results)


def _kept(trace: Trace, op: Operation, axes: Sequence[int]) -> Facets:
    """Return the facets of a result as large as the first tensor, made together along `axes`.

    Those that stay altogether are kept, so that what follows is not blamed.
    """
    found = []
    for facet in trace.facets(op.first):
        rest = trace.collapse(facet, axes, op)
        found.append(rest if varying(rest) else facet)
    return _distinct(found)


def _axes(dim: Any, rank: int) -> list[int]:
    if dim is None or dim == []:
        return list(range(rank))
    return [axis % rank for axis in (dim if isinstance(dim, list | tuple) else [dim])]


def resampled(trace: Trace, op: Operation) -> Result:
    """The last axes are pictures, which are pooled, padded, enlarged or cut out."""
    found = re.search(r"([123])d", op.name)
    count = int(found[1]) if found else 2
    return [_spatial(trace, op, count)] * len(op.results)


def _spatial(trace: Trace, op: Operation, count: int) -> Facets:
    for tensor in op.tensors[1:]:  # a grid, boxes
        trace.stay(op, tensor)
    rank = op.first.ndim
    axes = range(rank - count, rank)
    return _distinct([trace.collapse(facet, axes, op) for facet in trace.facets(op.first)])


def padded(trace: Trace, op: Operation) -> Result:
    """Axes get more places, with a constant in them."""
    rank, pads = op.first.ndim, list(op["pad"])
    for facet in trace.facets(op.first):
        for pair in range(len(pads) // 2):
            axis = rank - 1 - pair
            if facet.shape[axis] > 1 and any(pads[2 * pair : 2 * pair + 2]):
                trace.freeze(facet, "get others of zeros beside them (pad)")
    return same(trace, op)


def batch_norm(trace: Trace, op: Operation) -> Result:
    """Each channel is normalized by itself."""
    given: Any = op["input"]
    rank = given.ndim
    operands: list[Operand] = [(given.shape, trace.facets(given))]
    for name in ("weight", "bias", "running_mean", "running_var"):
        if op[name] is not None:
            sides = [1, len(op[name]), *[1] * (rank - 2)]
            facets = tuple(along(f.reshape(-1), 1, rank) for f in trace.facets(op[name]))
            operands.append((sides, facets))
    found = merged(trace, rank, operands)
    module = trace.modules.get(trace.path)
    bare = op["weight"] is None and op["running_mean"] is None  # no tensor says the size
    features = getattr(module, "num_features", 0) if bare else 0
    for facet in found:
        vector = facet.reshape(-1)
        if features and varying(facet) == [1] and len(vector) % features == 0:
            # Of instance normalization, the axis has all samples' channels.
            trace.sizes.append(Size(f"{trace.path}.num_features", vector[:features]))
    return [found, *[()] * (len(op.results) - 1)]


def group_norm(trace: Trace, op: Operation) -> Result:
    """Channels are normalized together in groups: whole groups may go."""
    given: Any = op["input"]
    groups, channels = int(op["group"]), given.shape[1]
    operands: list[Operand] = [(given.shape, trace.facets(given))]
    for name in ("weight", "bias"):
        if op[name] is not None:
            facets = tuple(along(f.reshape(-1), 1, given.ndim) for f in trace.facets(op[name]))
            operands.append(([1, channels, *[1] * (given.ndim - 2)], facets))
    found = merged(trace, given.ndim, operands)
    for facet in found:
        if varying(facet) != [1] or groups == 1:
            trace.stay(op, given, mixes=True)
            continue
        vector = facet.reshape(groups, -1)
        trace.tie(vector, vector[:, :1])
        if getattr(trace.modules.get(trace.path), "num_groups", 0) == groups:
            trace.sizes.append(Size(f"{trace.path}.num_groups", vector[:, 0]))
            if op["weight"] is None:
                trace.sizes.append(Size(f"{trace.path}.num_channels", vector.reshape(-1)))
    return [found, *[()] * (len(op.results) - 1)]


def layer_norm(trace: Trace, op: Operation) -> Result:
    """The last axes are normalized together."""
    given = op.first
    axes = range(given.ndim - len(op["normalized_shape"]), given.ndim)
    trace.stay(op, *op.tensors[1:], mixes=True)
    return [_kept(trace, op, axes), *[()] * (len(op.results) - 1)]


def gated(trace: Trace, op: Operation) -> Result:
    """One half of an axis is multiplied by a function of the other: GLU."""
    axis = op["dim"] % op.first.ndim
    found = []
    for facet in trace.facets(op.first):
        if facet.shape[axis] > 1:
            one, other = np.split(facet, 2, axis)
            trace.tie(one, other)
            facet = one
        found.append(facet)
    return [_distinct(found)]

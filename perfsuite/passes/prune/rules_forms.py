"""What operations on the form of tensors make of facets: views, splits, joins, permutations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perfsuite.passes.prune.operations import Facets, Operation, Trace, along
from perfsuite.passes.prune.positions import Labels, compact, varying
from perfsuite.passes.prune.rules_values import merged

Result = list[Facets] | None
_MOST = 1 << 20  # places of a facet; a larger one is of no layer's channels
_PARTS = 16  # an axis is cut into at most so many parts that keep it prunable


def reshaped(trace: Trace, op: Operation) -> Result:
    """Axes are joined and cut up; the order of values stays."""
    given, result = op.first, op.results[0]
    found: list[Labels] = []
    for facet in trace.facets(given):
        other = _reshape(facet, tuple(given.shape), tuple(result.shape))
        if other is None:
            trace.stay(op, given)
            continue
        found.append(other)
        if tuple(result.shape) != tuple(given.shape) and not trace.is_state(given):
            trace.form(other)
    return [tuple(found)]


def _reshape(facet: Labels, before: Sequence[int], after: Sequence[int]) -> Labels | None:
    """Return the facet of a tensor in another form; None if it would become too large."""
    full: list[int] = []  # the facet's sides where a block of axes changes with its channels
    final: list[int] = []
    for mine, theirs in _blocks(before, after):
        if any(facet.shape[axis] > 1 for axis in mine):
            full += [before[axis] for axis in mine]
            final += [after[axis] for axis in theirs]
        else:
            full += [1] * len(mine)
            final += [1] * len(theirs)
    if np.prod(full, dtype=float) > _MOST:
        return None
    return compact(np.broadcast_to(facet, full).reshape(final))


def _blocks(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Return the smallest runs of axes of two shapes that hold the same number of values."""
    blocks: list[tuple[list[int], list[int]]] = []
    left = right = 0
    while left < len(before) or right < len(after):
        mine: list[int] = []
        theirs: list[int] = []
        one = other = 1
        if left < len(before):
            mine.append(left)
            one, left = one * before[left], left + 1
        if right < len(after):
            theirs.append(right)
            other, right = other * after[right], right + 1
        while one != other:
            if one < other:
                mine.append(left)
                one, left = one * before[left], left + 1
            else:
                theirs.append(right)
                other, right = other * after[right], right + 1
        blocks.append((mine, theirs))
    return blocks


def permuted(trace: Trace, op: Operation) -> Result:
    """Axes change places."""
    rank = op.first.ndim
    order = list(range(rank))
    if op.name == "permute":
        order = [axis % rank for axis in op["dims"]]
    elif op.name == "t":
        order.reverse()
    else:
        one, other = op["dim0"] % rank, op["dim1"] % rank
        order[one], order[other] = other, one
    return [tuple(facet.transpose(order) for facet in trace.facets(op.first))]


def unsqueezed(trace: Trace, op: Operation) -> Result:
    """An axis with one place is added."""
    axis = op["dim"] % op.results[0].ndim
    return [tuple(np.expand_dims(facet, axis) for facet in trace.facets(op.first))]


def squeezed(trace: Trace, op: Operation) -> Result:
    """Axes with one place are taken away; which, the result's shape says."""
    given, dim = op.first, op["dim"]
    asked = range(given.ndim) if dim is None else dim if isinstance(dim, list | tuple) else [dim]
    gone = [axis % given.ndim for axis in asked if given.shape[axis] == 1]
    return [tuple(np.squeeze(facet, tuple(gone)) for facet in trace.facets(given))]


def expanded(trace: Trace, op: Operation) -> Result:
    """Axes with one place become wider; how wide may follow from other tensors."""
    given, result = op.first, op.results[0]
    sides = [1] * (result.ndim - given.ndim) + list(given.shape)
    found = [
        facet.reshape([1] * (result.ndim - given.ndim) + list(facet.shape))
        for facet in trace.facets(given)
    ]
    for axis, (side, wide) in enumerate(zip(sides, result.shape, strict=True)):
        if side == 1 < wide and wide in trace.widths:
            found.append(along(trace.positions.fresh(wide), axis, result.ndim))
    return [tuple(found)]


expanded.makes = True  # type: ignore[attr-defined]


def repeated(trace: Trace, op: Operation) -> Result:
    """The tensor is laid beside itself along some axes."""
    given, result = op.first, op.results[0]
    more = result.ndim - given.ndim
    counts = [int(count) for count in op["repeats"]]
    found = []
    for facet in trace.facets(given):
        raised = facet.reshape([1] * more + list(facet.shape))
        times = [c if raised.shape[axis] > 1 else 1 for axis, c in enumerate(counts)]
        found.append(np.tile(raised, times))
    return [tuple(found)]


def joined(trace: Trace, op: Operation) -> Result:
    """Tensors stand behind each other along an axis."""
    tensors = [tensor for tensor in op["tensors"] if tensor.ndim == op.results[0].ndim]
    rank = op.results[0].ndim
    axis = op["dim"] % rank
    return [_joined(trace, [trace.facets(t) for t in tensors], [t.shape for t in tensors], axis)]


def stacked(trace: Trace, op: Operation) -> Result:
    """Tensors stand behind each other along a new axis."""
    axis = op["dim"] % op.results[0].ndim
    facets = [
        tuple(np.expand_dims(facet, axis) for facet in trace.facets(tensor))
        for tensor in op["tensors"]
    ]
    shapes = [(*t.shape[:axis], 1, *t.shape[axis:]) for t in op["tensors"]]
    return [_joined(trace, facets, shapes, axis)]


def _joined(
    trace: Trace, facets: list[Facets], shapes: Sequence[Sequence[int]], axis: int
) -> Facets:
    """Return the facets of tensors behind each other: along `axis`, and along the others."""
    rank = len(shapes[0])

    def others(facet: Labels) -> tuple[int, ...]:
        return tuple(each for each in varying(facet) if each != axis)

    found = []
    for rest in sorted({others(facet) for some in facets for facet in some}):
        parts = []
        for some, shape in zip(facets, shapes, strict=True):
            own = [facet for facet in some if others(facet) == rest]
            form = [shape[a] if a in rest or a == axis else 1 for a in range(rank)]
            parts.append(np.broadcast_to(own[0], form) if own else np.full(form, -1))
        labels = np.concatenate(parts, axis)
        if rest and (labels < 0).any():
            trace.freeze(labels, "stand beside a tensor that keeps its size")
        if rest:  # they go through all places of the axis
            first = labels.take([0], axis)
            trace.tie(labels, first)
            labels = first
        found.append(labels)
    return tuple(facet for facet in found if varying(facet) and (facet >= 0).any())


def split(trace: Trace, op: Operation) -> Result:
    """An axis is cut into parts behind each other."""
    rank = op.first.ndim
    axis = op["dim"] % rank
    widths = [result.shape[axis] for result in op.results]
    parts: list[list[Labels]] = [[] for _ in op.results]
    for facet in trace.facets(op.first):
        if facet.shape[axis] == 1:
            for part in parts:
                part.append(facet)
            continue
        if len(set(widths)) > 1:
            trace.freeze(
                facet,
                f"are split into unequal parts of {', '.join(map(str, widths))}",
                "parts that are equal can be cut alike",
            )
        found = np.split(facet, np.cumsum(widths)[:-1], axis)
        for part, labels in zip(parts, found, strict=True):
            if len(set(widths)) == 1:
                trace.tie(found[0], labels)
                trace.form(labels)
            part.append(labels)
    return [tuple(part) for part in parts]


def unbound(trace: Trace, op: Operation) -> Result:
    """Each place of an axis becomes a tensor."""
    axis = op["dim"] % op.first.ndim
    return [
        tuple(facet.take(min(place, facet.shape[axis] - 1), axis) for facet in _facets(trace, op))
        for place in range(len(op.results))
    ]


def selected(trace: Trace, op: Operation) -> Result:
    """One place of an axis is taken."""
    given = op.first
    axis = op["dim"] % given.ndim
    place = op["index"] % given.shape[axis]
    found = []
    for facet in trace.facets(given):
        if varying(facet) == [axis] and not trace.is_state(given):
            trace.freeze(facet, f"are picked by number: {place}")
        found.append(facet.take(place if facet.shape[axis] > 1 else 0, axis))
    return [tuple(found)]


def sliced(trace: Trace, op: Operation) -> Result:
    """Part of an axis is taken, by numbers: one of equal parts, or each of so many."""
    given, result = op.first, op.results[0]
    axis, step = op["dim"] % given.ndim, int(op["step"])
    side, length = given.shape[axis], result.shape[axis]
    start = int(op["start"] or 0)
    start = max(start + side, 0) if start < 0 else start
    found = []
    for facet in trace.facets(given):
        if facet.shape[axis] == 1 or length == side:
            found.append(facet)
            continue
        labels = facet.take(range(start, start + length * step, step), axis)
        found.append(labels)
        if trace.is_state(given):
            continue
        moved = np.moveaxis(facet, axis, -1)
        if (
            step == 1
            and length
            and side % length == start % length == 0
            and side // length <= _PARTS
        ):
            blocks = moved.reshape(*moved.shape[:-1], -1, length)
            trace.tie(blocks, blocks[..., :1, :])
        elif step > 1 and side % step == 0 and length == side // step:
            blocks = moved.reshape(*moved.shape[:-1], -1, step)
            trace.tie(blocks, blocks[..., :1])
        else:
            trace.freeze(
                facet,
                f"are picked by numbers: {start} to {start + length * step} of {side}",
                "a part of equal parts, x.chunk(2, 1)[0], can be cut like the others",
            )
        trace.form(labels)
    return [tuple(found)]


def flipped(trace: Trace, op: Operation) -> Result:
    """Axes run backwards."""
    axes = tuple(axis % op.first.ndim for axis in op["dims"])
    return [tuple(np.flip(facet, axes) for facet in _facets(trace, op))]


def rolled(trace: Trace, op: Operation) -> Result:
    """Axes go round by a number of places."""
    axes = [axis % op.first.ndim for axis in op["dims"]] or list(range(op.first.ndim))
    for facet in _facets(trace, op):
        if set(varying(facet)) & set(axes):
            trace.stay(op, op.first)
    return [_facets(trace, op)]


def indexed(trace: Trace, op: Operation) -> Result:
    """Places of an axis are taken by numbers in a tensor; the other axes stay as they are."""
    given, indices = op.first, list(op["indices"])
    asked = [place for place, index in enumerate(indices) if index is not None]
    if len(asked) != 1:
        return None
    index = indices[asked[0]]
    taken = index.ndim if str(index.dtype) in ("torch.bool", "torch.uint8") else 1
    return _taken(trace, op, given, list(range(asked[0], asked[0] + taken)), index)


def put(trace: Trace, op: Operation) -> Result:
    """Values are written over places of an axis; the other axes of both go together."""
    given, values, indices = op.first, op["values"], list(op["indices"])
    trace.stay(op, *(index for index in indices if index is not None))
    asked = [place for place, index in enumerate(indices) if index is not None]
    rank = given.ndim
    if asked != [0] or indices[0].ndim != 1 or values.ndim > rank:
        return None
    operands = []
    for tensor in (given, values):
        raised = [1] * (rank - tensor.ndim)
        facets = [facet.reshape(raised + list(facet.shape)) for facet in trace.facets(tensor)]
        for facet in facets:
            if facet.shape[0] > 1:
                trace.freeze(facet, f"are picked by numbers ({op.name})")
        shape = [1, *(raised + list(tensor.shape))[1:]]
        operands.append((shape, tuple(facet for facet in facets if facet.shape[0] == 1)))
    return [merged(trace, given.ndim, operands)]


def chosen(trace: Trace, op: Operation) -> Result:
    """Places of an axis are taken by a list of numbers."""
    return _taken(trace, op, op.first, [op["dim"] % op.first.ndim], op["index"])


def embedded(trace: Trace, op: Operation) -> Result:
    """Rows of a table are taken."""
    return _taken(trace, op, op["weight"], [0], op["indices"])


def _taken(
    trace: Trace, op: Operation, given: Any, axes: list[int], index: Any
) -> list[Facets] | None:
    trace.stay(op, index)
    added = op.results[0].ndim - given.ndim + len(axes)
    found = []
    for facet in trace.facets(given):
        if any(facet.shape[axis] > 1 for axis in axes):
            trace.freeze(facet, f"are picked by numbers ({op.name})")
        else:
            sides = list(facet.shape)
            sides[axes[0] : axes[-1] + 1] = [1] * added
            found.append(facet.reshape(sides))
    return [tuple(found)]


def unfolded(trace: Trace, op: Operation) -> Result:
    """Patches of a picture become channels: each channel's values behind each other."""
    given, result = op.first, op.results[0]
    found = []
    for facet in trace.facets(given):
        if set(varying(facet)) - {0, 1} or given.ndim != 4:
            return None
        times = result.shape[1] // given.shape[1] if facet.shape[1] > 1 else 1
        found.append(np.repeat(facet, times, 1).reshape(facet.shape[0], -1, 1))
    return [tuple(found)]


def pixel_shuffled(trace: Trace, op: Operation) -> Result:
    """Channels become places of a picture: those that become one channel go together."""
    given, result = op.first, op.results[0]
    axis = given.ndim - 3
    found = []
    for facet in trace.facets(given):
        if varying(facet) == [axis]:
            blocks = facet.reshape(result.shape[axis], -1)
            trace.tie(blocks, blocks[:, :1])
            facet = along(blocks[:, 0], axis, given.ndim)
        elif axis in varying(facet):
            return None
        found.append(facet)
    return [tuple(facet for facet in found if varying(facet))]


def channels_shuffled(trace: Trace, op: Operation) -> Result:
    """Channels in groups are dealt out in turn."""
    found = []
    for facet in trace.facets(op.first):
        if varying(facet) == [1]:
            dealt = facet.reshape(int(op["groups"]), -1)
            trace.form(dealt)
            facet = dealt.T.reshape(facet.shape)
        elif 1 in varying(facet):
            return None
        found.append(facet)
    return [tuple(found)]


def _facets(trace: Trace, op: Operation) -> Facets:
    return trace.facets(op.first)

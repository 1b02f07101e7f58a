"""What products make of facets: convolutions, linear layers, products of matrices, attention.

Where one side is weights, these *read* the channels of the other: a sum over them, so that zero can
stand for a channel. Between two activations a sum over channels is left whole: heads of attention
go with all their channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perfsuite.passes.prune.operations import Facets, Operation, Size, Trace, along
from perfsuite.passes.prune.positions import Labels, varying
from perfsuite.passes.prune.rules_values import Operand, Result, merged


def matrices(trace: Trace, op: Operation) -> Result:
    """(..., n, k) times (..., k, m), with something added to it."""
    added = [op["self"]] if op.name in ("addmm", "baddbmm") else []
    one, other = [tensor for tensor in op.tensors if all(tensor is not a for a in added)][:2]
    result = op.results[0]
    operands = _product(trace, op, one, other)
    operands += [(tensor.shape, trace.facets(tensor)) for tensor in added]
    return [merged(trace, result.ndim, operands)]


def vectors(trace: Trace, op: Operation) -> Result:
    """(n, k) times (k,), with something added to it."""
    vector = op["vec"]
    facets = tuple(facet[:, None] for facet in trace.facets(vector))
    trace.set(column := vector[:, None], facets, trace.is_state(vector), trace.node(vector))
    operands = _product(trace, op, op["mat"] if op["mat"] is not None else op.first, column)
    flat: list[Operand] = [(s[:-1], tuple(f[..., 0] for f in fs)) for s, fs in operands]
    if op.name == "addmv":
        flat.append((op["self"].shape, trace.facets(op["self"])))
    return [merged(trace, 1, flat)]


def linear(trace: Trace, op: Operation) -> Result:
    """(..., k) times the transpose of (m, k), and a bias."""
    given, weight = op["input"], op["weight"]
    turned = weight.detach().t()
    facets = tuple(facet.T for facet in trace.facets(weight))
    trace.set(turned, facets, trace.is_state(weight), trace.node(weight))
    operands = _product(trace, op, given, turned)
    if op["bias"] is not None:
        operands.append((op["bias"].shape, trace.facets(op["bias"])))
    return [merged(trace, op.results[0].ndim, operands)]


def _product(trace: Trace, op: Operation, one: Any, other: Any) -> list[Operand]:
    """Return both operands as those of an elementwise result: their facets without the sum's axis.

    Of `one` the last axis is summed over, of `other` the last but one.
    """
    if trace.is_state(one) == trace.is_state(other):
        rest, others = _heads(trace, op, one, other)
    else:
        rest, others = _read(trace, op, one, other)
    columns = (*other.shape[:-2], 1, other.shape[-1])
    return [((*one.shape[:-1], 1), rest), (columns, others)]


def _read(trace: Trace, op: Operation, one: Any, other: Any) -> tuple[Facets, Facets]:
    """Let the channels that weights multiply go with the weights' rows or columns."""
    summed = [f for f in trace.facets(one) if f.shape[-1] > 1]
    theirs = [f for f in trace.facets(other) if f.shape[-2] > 1]
    weights, channels = (summed, theirs) if trace.is_state(one) else (theirs, summed)
    for facet in channels if not weights else ():
        trace.freeze(facet, "are multiplied by weights that keep their size")
    for facet in weights if not channels else ():
        trace.freeze(facet, "are none: these weights multiply others' places")
    for weight in weights:
        last = _last(weight, -1 if trace.is_state(one) else -2)
        if weight.size != last.size:
            trace.freeze(weight, f"go through {trace.what(op)}, with weights of several parts")
        for channel in channels:
            trace.tie(_last(channel, -2 if trace.is_state(one) else -1), last.reshape(-1))
        trace.reads(weight.reshape(-1))
    return (
        tuple(f for f in trace.facets(one) if f.shape[-1] == 1),
        tuple(f for f in trace.facets(other) if f.shape[-2] == 1),
    )


def _last(facet: Labels, axis: int) -> Labels:
    return np.moveaxis(facet, axis, -1)


def _heads(trace: Trace, op: Operation, one: Any, other: Any) -> tuple[Facets, Facets]:
    """Let the channels that a product of activations sums over go together, head by head."""
    rest = [_summed(trace, op, facet, -1) for facet in trace.facets(one)]
    others = [_summed(trace, op, facet, -2) for facet in trace.facets(other)]
    return (
        tuple(facet for facet in rest if varying(facet)),
        tuple(facet for facet in others if varying(facet)),
    )


def _summed(trace: Trace, op: Operation, facet: Labels, axis: int) -> Labels:
    return trace.collapse(facet, [facet.ndim + axis], op)


def attention(trace: Trace, op: Operation) -> Result:
    """softmax(q k) v for each sample and head: axes (..., places, channels)."""
    operands: list[Operand] = []
    for name in ("query", "key", "value", "attn_mask", "attn_bias"):
        tensor = op[name]
        if tensor is None:
            continue
        axes = [tensor.ndim - 2, tensor.ndim - 1]
        facets = tuple(trace.collapse(facet, axes, op) for facet in trace.facets(tensor))
        operands.append(((*tensor.shape[:-2], 1, 1), tuple(f for f in facets if varying(f))))
    return [merged(trace, op.results[0].ndim, operands), *[()] * (len(op.results) - 1)]


def convolution(trace: Trace, op: Operation) -> Result:
    """Channels of pictures are read by weights, in groups or not, transposed or not."""
    given, weight, bias = op["input"], op["weight"], op["bias"]
    groups, transposed = int(op["groups"] or 1), bool(op["transposed"])
    if not trace.is_state(weight):
        trace.stay(op, given, weight)
        return [()] * len(op.results)
    read = [_channels(trace, op, facet) for facet in trace.facets(given) if facet.shape[1] > 1]
    rest = tuple(facet for facet in trace.facets(given) if varying(facet) == [0])
    facets = {tuple(varying(f)): f.reshape(-1) for f in trace.facets(weight)}
    inside, outside = ((0,), (1,)) if transposed else ((1,), (0,))
    ins, outs = facets.get(inside), facets.get(outside)
    channels = _channels_given(trace, read)
    if groups == 1:
        _tie_read(trace, channels, ins)
    else:
        outs = _grouped(trace, channels, ins, outs, groups, transposed)
    rank = op.results[0].ndim
    found = () if outs is None or len(outs) == 1 else (along(outs, 1, rank),)
    operands: list[Operand] = [(op.results[0].shape, (*found, *rest))]
    if bias is not None:
        biases = tuple(along(f.reshape(-1), 1, rank) for f in trace.facets(bias))
        operands.append(([1, len(bias), *[1] * (rank - 2)], biases))
    return [merged(trace, rank, operands)]


def _channels(trace: Trace, op: Operation, facet: Labels) -> Labels:
    """Return the labels of the channels' axis; samples may not differ in them, nor places."""
    if any(axis > 1 for axis in varying(facet)):
        trace.freeze(facet, f"go through {trace.what(op)} as places of a picture")
    row = facet.take([0], 0)
    trace.tie(facet, row)
    return row.reshape(facet.shape[1], -1)[:, 0]


def _channels_given(trace: Trace, read: Sequence[Labels]) -> Labels | None:
    for labels in read[1:]:
        trace.tie(labels, read[0])
    return read[0] if read else None


def _tie_read(trace: Trace, channels: Labels | None, weights: Labels | None) -> None:
    if channels is not None and weights is not None:
        trace.tie(channels, weights)
        trace.reads(weights)
    elif channels is not None and len(channels) > 1:
        trace.freeze(channels, "are multiplied by weights that keep their size")
    elif weights is not None:
        trace.freeze(weights, "are inputs of the model, or come of such")


def _grouped(
    trace: Trace,
    channels: Labels | None,
    ins: Labels | None,
    outs: Labels | None,
    groups: int,
    transposed: bool,
) -> Labels | None:
    """Tie what must go together in a grouped convolution, and return the result's labels.

    Of many small groups whole ones go, such as those of a depthwise one; of a few large ones each
    loses as many channels.
    """
    mine = channels if channels is not None else ins if transposed else None
    per_group = len(mine) // groups if mine is not None else 0
    if transposed:
        if ins is None or mine is None:
            return None
        if channels is None:
            trace.freeze(ins, "are inputs of the model, or come of such")
        else:
            trace.tie(channels, ins)
        parts = ins.reshape(groups, -1)
        if groups >= per_group:
            trace.tie(parts, parts[:, :1])
            return _sized(
                trace, np.repeat(parts[:, 0], max(1, 0 if outs is None else len(outs))), groups
            )
        trace.tie(parts, parts[:1])
        trace.reads(ins)
        return None if outs is None else np.tile(outs, groups)
    if outs is None or mine is None:
        for labels in (outs, mine, ins):
            if labels is not None:
                trace.freeze(labels, "go through a convolution in groups of fixed channels")
        return outs
    given, made = mine.reshape(groups, -1), outs.reshape(groups, -1)
    if groups >= per_group:
        trace.tie(given, given[:, :1])
        trace.tie(made, given[:, :1])
        return _sized(trace, outs, groups)
    trace.tie(given, given[:1])
    trace.tie(made, made[:1])
    _tie_read(trace, given[0], ins)
    return outs


def _sized(trace: Trace, outs: Labels, groups: int) -> Labels:
    """Note that the running convolution's number of groups counts these channels' groups."""
    if getattr(trace.modules.get(trace.path), "groups", 0) == groups:
        trace.sizes.append(Size(f"{trace.path}.groups", outs.reshape(groups, -1)[:, 0]))
    return outs

"""Group normalizations with a scale for each group, as ONNX had them in operator sets 18 to 20.

They were withdrawn for those of operator set 21, which have one for each channel, so that onnx's
checker refuses what engines run. An instance normalization of the groups, as if each was a channel,
computes the same by its definition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsuite.export.bodies import bodies, every_node, names_made, unused_name

if TYPE_CHECKING:
    import onnx

_KIND, _ONNX = "GroupNormalization", ("", "ai.onnx")
_FROM, _TO = 18, 20  # the operator sets


def write_group_norms(model: onnx.ModelProto) -> None:
    """Write such normalizations of `model` as those of instances, in bodies too.

    One whose scales are as many as its groups are not stays, as no engine takes it.
    """
    opset = max((one.version for one in model.opset_import if one.domain in _ONNX), default=1)
    if _FROM <= opset <= _TO and any(map(_is_one, every_node(model.graph))):
        _write(model.graph, names_made(model.graph), {})


def _is_one(node: onnx.NodeProto) -> bool:
    return node.op_type == _KIND and node.domain in _ONNX


def _write(graph: onnx.GraphProto, taken: set[str], outer: dict[str, int]) -> None:
    lengths = {**outer, **{one.name: one.dims[0] for one in graph.initializer if one.dims}}
    made: list[onnx.NodeProto] = []
    for node in graph.node:
        for body in bodies(node):
            _write(body, taken, lengths)
        made += _by_instances(node, taken, lengths) if _is_one(node) else [node]
    kept = [type(node).FromString(node.SerializeToString()) for node in made]
    del graph.node[:]
    graph.node.extend(kept)


def _by_instances(
    node: onnx.NodeProto, taken: set[str], lengths: dict[str, int]
) -> list[onnx.NodeProto]:
    """Return the nodes that compute what a group normalization does; itself if none can."""
    from onnx import helper, numpy_helper

    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    groups, (value, scale, bias) = given.pop("num_groups"), node.input
    if lengths.get(scale, groups) != groups:
        return [node]
    sides, grouped, each, shape, normal = (
        unused_name(f"{node.name or node.output[0]}_{what}", taken)
        for what in ("sides", "grouped", "each", "shape", "normal")
    )
    split = numpy_helper.from_array(np.array([0, groups, -1], np.int64))
    return [
        helper.make_node("Constant", [], [sides], sides, value=split),
        helper.make_node("Reshape", [value, sides], [grouped], grouped),
        helper.make_node("InstanceNormalization", [grouped, scale, bias], [each], each, **given),
        helper.make_node("Shape", [value], [shape], shape),
        helper.make_node("Reshape", [each, shape], [node.output[0]], normal),
    ]

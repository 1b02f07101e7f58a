"""A graph of an old operator set is brought to the one that per-channel weights need.

Only what an operator *means* is written anew: parameters that became inputs, coordinates of a
resampling, axes of a softmax. `onnx.version_converter` is not used for that, because (in 1.23) it
gives Upsample and Resize-10, which sample at x / scale, the coordinates of half pixels, loses that
Hardmax flattened its input, and stops where a softmax has an input of unknown shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.errors import BuildError
from perfsuite.export.bodies import bodies, every_node, names_made, names_read, unused_name

if TYPE_CHECKING:
    import onnx

PER_CHANNEL = 13  # the first whose DequantizeLinear has an axis
_OLDEST = 7  # of those that engines run; what is older is converted to it by onnx
_STANDARD = ("", "ai.onnx")


def converted(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model` with operator set 13 or newer, itself if it is; names stay.

    Raises `BuildError` for what has no equal there.
    """
    from onnx import shape_inference, version_converter

    given = opset = opset_of(model)
    if opset >= PER_CHANNEL:
        return model
    try:
        if opset < _OLDEST:
            model, opset = version_converter.convert_version(model, _OLDEST), _OLDEST
        known = shape_inference.infer_shapes(model).graph
        made = type(model)()
        made.CopyFrom(model)
        writer = _Writer(made.graph, opset, known)
        writer.rewrite(made.graph)
    except Exception as error:
        raise BuildError(
            f"int8: the graph has opset {given} and cannot be converted to {PER_CHANNEL}, which "
            f"per-channel weights need: {error}; export it again with a newer one"
        ) from error
    for entry in made.opset_import:
        if entry.domain in _STANDARD:
            entry.version = PER_CHANNEL
    return made


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators."""
    return int(next(entry.version for entry in model.opset_import if entry.domain in _STANDARD))


class _Writer:
    """Rewrites nodes; constants that they need become initializers of the outermost graph."""

    def __init__(self, top: onnx.GraphProto, opset: int, known: onnx.GraphProto) -> None:
        from onnx import numpy_helper

        self.top, self.opset = top, opset
        self.constants = {one.name: numpy_helper.to_array(one) for one in top.initializer}
        for one in every_node(top):
            for attribute in one.attribute if one.op_type == "Constant" else ():
                if attribute.name == "value":
                    self.constants[one.output[0]] = numpy_helper.to_array(attribute.t)
        self.types = {one.name: one.data_type for one in top.initializer}
        self.ranks: dict[str, int] = {one.name: len(one.dims) for one in top.initializer}
        for value in (*known.input, *known.value_info, *known.output):
            kind = value.type.tensor_type
            self.types.setdefault(value.name, kind.elem_type)
            if kind.HasField("shape"):
                self.ranks.setdefault(value.name, len(kind.shape.dim))
        self.taken, self.read = names_made(top), names_read(top)

    def rewrite(self, graph: onnx.GraphProto) -> None:
        """Rewrite the nodes of `graph` in place, and those of the bodies of its control flow."""
        nodes = [made for node in graph.node for made in self._rewritten(node)]
        del graph.node[:]
        graph.node.extend(nodes)

    def _rewritten(self, node: onnx.NodeProto) -> Iterable[onnx.NodeProto]:
        from onnx import defs

        for body in bodies(node):
            self.rewrite(body)
        if node.domain not in _STANDARD:
            return [node]
        change = _CHANGES.get(node.op_type)
        if change is not None and self.opset < change[0]:
            return change[1](self, node)
        if not defs.has(node.op_type):
            raise BuildError(f"node '{node.name}': there is no operator {node.op_type}")
        return [node]

    def constant(self, node: onnx.NodeProto, what: str, array: np.ndarray) -> str:
        """Return the name of a new initializer that `node` reads."""
        from onnx import numpy_helper

        name = unused_name(f"{node.output[0]}_{what}", self.taken)
        self.top.initializer.append(numpy_helper.from_array(array, name))
        self.constants[name] = array
        return name

    def dtype(self, name: str) -> Any:
        """Return the NumPy type of a tensor, float32 if it is not known."""
        from onnx import TensorProto, helper

        return helper.tensor_dtype_to_np_dtype(self.types.get(name) or TensorProto.FLOAT)


def _taken_out(node: onnx.NodeProto, name: str) -> Any:
    """Return the attribute `name` and remove it; None if there is none."""
    from onnx import helper

    for place, attribute in enumerate(node.attribute):
        if attribute.name == name:
            value = helper.get_attribute_value(attribute)
            del node.attribute[place]
            return value
    return None


def _as_input(attribute: str) -> Callable[[_Writer, onnx.NodeProto], list[onnx.NodeProto]]:
    """Return a change by which an attribute with integers becomes the second input."""

    def change(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        values = _taken_out(node, attribute)
        if values is not None:
            node.input.append(writer.constant(node, attribute, np.array(values, np.int64)))
        return [node]

    return change


def _slice(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    for name in ("starts", "ends", "axes"):
        values = _taken_out(node, name)
        if values is not None:
            node.input.append(writer.constant(node, name, np.array(values, np.int64)))
    return [node]


def _pad(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    pads = _taken_out(node, "pads")
    value = _taken_out(node, "value")
    node.input.append(writer.constant(node, "pads", np.array(pads, np.int64)))
    if value:
        array = np.array(value, writer.dtype(node.input[0]))
        node.input.append(writer.constant(node, "value", array))
    return [node]


def _clip(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    dtype = writer.dtype(node.input[0])
    least, greatest = _taken_out(node, "min"), _taken_out(node, "max")
    for name, limit in (("min", least), ("max", greatest)):
        given = limit is not None
        node.input.append(writer.constant(node, name, np.array(limit, dtype)) if given else "")
    return [node]


def _top_k(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    node.input.append(writer.constant(node, "k", np.array([_taken_out(node, "k")], np.int64)))
    return [node]


def _dropout(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    if len(node.output) > 1 and node.output[1] in writer.read:
        raise BuildError(f"node '{node.name}': the mask of a Dropout is read")
    del node.attribute[:], node.output[1:]
    node.op_type = "Identity"
    return [node]


def _upsample(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    scales = _taken_out(node, "scales")
    if scales is not None:
        node.input.append(writer.constant(node, "scales", np.array(scales, np.float32)))
    return _resize(writer, node)


def _resize(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Sample at x / scale, and where that lies between two, take the left one or interpolate.

    ONNX Runtime takes the right one where it makes smaller.
    """
    from onnx import helper

    scales = writer.constants.get(node.input[1])
    smaller = scales is not None and (np.asarray(scales) < 1).any()
    node.op_type = "Resize"
    node.input.insert(1, "")
    given = {"coordinate_transformation_mode": "asymmetric"}
    mode = next((one.s for one in node.attribute if one.name == "mode"), b"nearest")
    if mode == b"nearest":
        given["nearest_mode"] = "ceil" if smaller else "floor"
    node.attribute.extend(helper.make_attribute(name, value) for name, value in given.items())
    return [node]


def _softmax(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Take all axes from `axis` on as one, as the older operators did."""
    from onnx import helper

    found = _taken_out(node, "axis")
    axis, rank = 1 if found is None else int(found), writer.ranks.get(node.input[0])
    node.attribute.append(helper.make_attribute("axis", -1))
    if axis == -1 or (rank is not None and axis == rank - 1):
        return [node]
    given, result = node.input[0], node.output[0]
    shape, rows, weights = (
        unused_name(f"{result}_{what}", writer.taken) for what in ("shape", "flat", "flat_result")
    )
    node.input[0], node.output[0] = rows, weights
    base = node.name or result
    return [
        helper.make_node("Shape", [given], [shape], f"{base}_Shape"),
        helper.make_node("Flatten", [given], [rows], f"{base}_Flatten", axis=axis),
        node,
        helper.make_node("Reshape", [weights, shape], [result], f"{base}_Reshape"),
    ]


def _normalization(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    if _taken_out(node, "spatial") == 0:
        raise BuildError(f"node '{node.name}': a BatchNormalization with spatial=0")
    return [node]


def _scatter(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    node.op_type = "ScatterElements"
    return [node]


def _scan(writer: _Writer, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    raise BuildError(f"node '{node.name}': a Scan over samples, as in opset 8")


_Change = Callable[[_Writer, "onnx.NodeProto"], list["onnx.NodeProto"]]
# By operator: the first operator set that has its present form, and how to get there. No other
# operator has changed its meaning between 7 and 13.
_CHANGES: dict[str, tuple[int, _Change]] = {
    "BatchNormalization": (9, _normalization),
    "Clip": (11, _clip),
    "Dropout": (12, _dropout),
    "Hardmax": (13, _softmax),
    "LogSoftmax": (13, _softmax),
    "Pad": (11, _pad),
    "ReduceSum": (13, _as_input("axes")),
    "Resize": (11, _resize),
    "Scan": (9, _scan),
    "Scatter": (13, _scatter),
    "Slice": (10, _slice),
    "Softmax": (13, _softmax),
    "Split": (13, _as_input("split")),
    "Squeeze": (13, _as_input("axes")),
    "TopK": (10, _top_k),
    "Unsqueeze": (13, _as_input("axes")),
    "Upsample": (13, _upsample),
}

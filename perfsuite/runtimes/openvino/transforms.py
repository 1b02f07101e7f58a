"""Fourier transforms of ONNX graphs, of which OpenVINO (2026.4) misreads or refuses many.

Of a DFT of operator set 20 it does not read the axis, and takes a real signal for a complex one; an
STFT it takes with a known batch alone. Its own operators do both rightly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.errors import Unsupported
from perfsuite.export.bodies import every_node

if TYPE_CHECKING:
    import onnx

_ONNX = ("", "ai.onnx")  # the names of ONNX's own operator set
_AXIS_IS_INPUT = 20  # the opset since which a DFT takes its axis as an input, the last by default
_REAL = 1  # the length of the last side of a real signal


def add_transforms(core: Any, graph: onnx.ModelProto) -> None:
    """Let `core` read the Fourier transforms of a graph; `Unsupported` for what it cannot compute.

    That is an STFT which gives the whole spectrum.
    """
    from openvino.frontend.onnx import ConversionExtension

    for node in every_node(graph.graph):
        if node.domain in _ONNX and node.op_type == "STFT":
            _check_half(node)
    opset = max((one.version for one in graph.opset_import if one.domain in _ONNX), default=1)
    default = 1 if opset < _AXIS_IS_INPUT else -2
    core.add_extension(ConversionExtension("DFT", lambda node: _dft(node, default)))
    core.add_extension(ConversionExtension("STFT", _stft))


def _check_half(node: onnx.NodeProto) -> None:
    if any(one.name == "onesided" and one.i == 0 for one in node.attribute):
        raise Unsupported(
            f"node '{node.name or node.output[0]}' is an STFT that gives the whole spectrum, which "
            f"openvino has no operator for; take onesided=True, or onnxruntime"
        )


def _dft(node: Any, default: int) -> list[Any]:
    from openvino import opset15 as operators

    signal = node.get_input(0)
    shape = signal.get_partial_shape()
    axis = _given(node, 2)
    number = node.get_attribute("axis", default) if axis is None else _constant(axis)
    axes = operators.constant(np.array([number % len(shape)]))
    length = _given(node, 1)
    size = [] if length is None else [operators.reshape(length, np.array([1]), False)]
    inverse, half = (node.get_attribute(name, 0) for name in ("inverse", "onesided"))
    if half and inverse:
        made = operators.irdft(signal, axes, *size)
        return list(operators.unsqueeze(made, np.array([-1])).outputs())
    if half:
        return list(operators.rdft(_without_last(signal), axes, *size).outputs())
    if shape[-1].is_static and shape[-1].get_length() == _REAL:
        zeros = operators.multiply(signal, np.float32(0))
        signal = operators.concat([signal, zeros], -1).output(0)
    transform = operators.idft if inverse else operators.dft
    return list(transform(signal, axes, *size).outputs())


def _stft(node: Any) -> list[Any]:
    from openvino import opset15 as operators

    signal, step = node.get_input(0), node.get_input(1)
    window, length = _given(node, 2), _given(node, 3)
    if length is None:
        length = operators.squeeze(operators.shape_of(window), np.array([0])).output(0)
    if window is None:
        window = operators.broadcast(np.float32(1), operators.reshape(length, [1], False)).output(0)
    made = operators.stft(_without_last(signal), window, length, step, False)
    return list(made.outputs())


def _without_last(signal: Any) -> Any:
    """Return a real signal without its last side, which holds one part instead of two."""
    from openvino import opset15 as operators

    return operators.squeeze(signal, np.array([-1])).output(0)


def _given(node: Any, place: int) -> Any:
    """Return an input; None if it was left out."""
    if node.get_input_size() <= place:
        return None
    value = node.get_input(place)
    return None if value.get_node().get_type_name() == "NullNode" else value


def _constant(value: Any) -> int:
    if value.get_node().get_type_name() != "Constant":
        raise Unsupported("openvino has no DFT over an axis that is computed; take onnxruntime")
    return int(value.get_node().get_data().reshape(-1)[0])

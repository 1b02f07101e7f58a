"""Whether sums of bytes overflow in this process, tried on a convolution made for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perfsuite.domain.cell import Cell
from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, Runtime, SessionOptions, Variant
from perfsuite.errors import PerfsuiteError
from perfsuite.runner.build.artifacts import open_session
from perfsuite.store.temporary import TemporaryFolder
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    import onnx

_SIDE, _CHANNELS = 8, 16
_LEAST = 0.75  # of the exact sum; one that is cut off at 32767 in every pair is about half of it


class Sums(NamedTuple):
    """What an engine makes of sums of the largest bytes: whether they overflow, and its kernels."""

    overflow: bool
    kernels: tuple[str, ...]  # of the convolution, where the session was opened to be inspected


def overflows(runtime: Runtime, cell: Cell) -> bool:
    """Return whether the engine of `cell` gives too little for the largest bytes there are.

    An engine that does not take the convolution shows nothing, and so does not overflow.
    """
    found = sums_of_bytes(runtime, cell)
    return found is not None and found.overflow


def sums_of_bytes(runtime: Runtime, cell: Cell, *, inspect: bool = False) -> Sums | None:
    """Return what the engine of `cell` makes of them; None if it does not take the convolution."""
    inputs = {"x": np.ones((1, _CHANNELS, _SIDE, _SIDE), np.float32)}
    spec = (InputSpec("x", "float32", ("batch", _CHANNELS, _SIDE, _SIDE)),)
    manifest = Manifest(cell.runtime, cell.device, cell.precision, 1, spec, ("y",), True, True)
    try:
        with TemporaryFolder() as own:
            graph = _write(Path(own) / "model.onnx")
            folder = Path(own) / "artifact"
            folder.mkdir()
            with user_code(f"{runtime.name}: its build()"):
                runtime.build(Variant(graph, None, quantized=True), manifest, folder)
            options = SessionOptions(1, cell.threads, inspect=inspect)
            with open_session(runtime, folder, manifest, options) as session:
                (found,) = session.run(inputs)
                layers = session.evidence().layers if inspect else ()
    except PerfsuiteError:
        return None
    middle = found[0, 0, _SIDE // 2, _SIDE // 2]
    return Sums(bool(middle < _LEAST * _EXACT), tuple(one.kernel for one in layers))


# All weights and inputs are the largest that there are, 127 and 255, which stand for 1.
_EXACT = 9.0 * _CHANNELS


def _write(path: Path) -> Path:
    import onnx

    onnx.save(_convolution(), path)
    return path


def _convolution() -> onnx.ModelProto:
    """Return a 3x3 convolution on bytes whose inputs, weights and result are rounded."""
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "weights": np.full((_CHANNELS, _CHANNELS, 3, 3), 127, np.int8),
        "weight_scales": np.full(_CHANNELS, 1 / 127, np.float32),
        "weight_zeros": np.zeros(_CHANNELS, np.int8),
        "scale": np.float32(1 / 255),
        "result_scale": np.float32(_EXACT / 255),
        "zero": np.uint8(0),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", "scale", "zero"], ["x_d"]),
        helper.make_node(
            "DequantizeLinear", ["weights", "weight_scales", "weight_zeros"], ["w_d"], axis=0
        ),
        helper.make_node("Conv", ["x_d", "w_d"], ["c"], "conv/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu/Relu"),
        helper.make_node("QuantizeLinear", ["r", "result_scale", "zero"], ["r_q"]),
        helper.make_node("DequantizeLinear", ["r_q", "result_scale", "zero"], ["y"]),
    ]
    shape = ["batch", _CHANNELS, _SIDE, _SIDE]
    graph = helper.make_graph(
        nodes,
        "overflow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()],
    )
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)

"""A classifier whose 8-bit sums overflow 16 bits on processors without VNNI, and its pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, CHANNELS = 4, 16
DARKEST, BRIGHTEST = 0.4, 1.0
ALONE = 11.0  # the weight of a channel that is a class's only one

MODELS = '''
"""A net of large activations, which is an ONNX file."""

from pathlib import Path

import numpy as np
from overflowing_net import answers, pictures

from perfsuite import Model, Task, Workload


class Pictures(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        return {"x": pictures(batch, seed)}

    def calibration(self, samples):
        yield {"x": pictures(samples, 1)}

    def rows(self, predict, samples=None):
        x = pictures(samples or 100, 2)
        return (predict({"x": x})[0].argmax(1) == answers(x)).astype(np.float64)[:, None]

    def metric(self, rows):
        return float(rows.mean())


net = Workload("net", Model(onnx=Path(__file__).with_name("net.onnx")), Pictures())
'''


def project(folder: Path) -> str:
    """Write the net and its workload into `folder`; return the workload's reference."""
    onnx.save(net(), folder / "net.onnx")
    (folder / "my_models.py").write_text(MODELS)
    return f"{folder}/my_models.py:net"


def net() -> onnx.ModelProto:
    """Return the net: a convolution of bright channels, a ReLU, and a mean.

    The first class has weights of 1 in all channels, and sums of two neighbours overflow; each of
    the others has one channel alone, so that none does. Cut off, the first class is seldom the
    answer; without that it mostly is.
    """
    nodes = [
        helper.make_node("Conv", ["x", "weight"], ["c"], "conv/Conv"),
        helper.make_node("Relu", ["c"], ["r"], "relu/Relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool/GlobalAveragePool"),
        helper.make_node("Flatten", ["p"], ["y"], "flat/Flatten"),
    ]
    shape = ["batch", CHANNELS, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "overflowing",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CHANNELS])],
        [numpy_helper.from_array(_weights()[:, :, None, None], "weight")],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


def pictures(count: int, seed: int) -> np.ndarray:
    """Return seeded inputs of the net: a brightness for each channel."""
    rng = np.random.default_rng(seed)
    brightness = rng.uniform(DARKEST, BRIGHTEST, (count, CHANNELS)).astype(np.float32)
    return np.repeat(brightness[:, :, None], SIDE * SIDE, 2).reshape(-1, CHANNELS, SIDE, SIDE)


def answers(x: np.ndarray) -> np.ndarray:
    """Return the classes that the float net answers."""
    return np.asarray((x[:, :, 0, 0] @ _weights().T).argmax(1))


def _weights() -> np.ndarray:
    weights = ALONE * np.eye(CHANNELS, dtype=np.float32)
    weights[0] = 1.0
    return weights

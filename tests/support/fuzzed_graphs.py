"""Small ONNX graphs of the operators of the job, drawn at random, and what must hold of each."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.model import InputSpec
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import PerfsuiteError
from perfsuite.export.nodes import graph_nodes
from perfsuite.measure.stages import breakdown
from perfsuite.passes.int8.int8 import Int8
from perfsuite.runtimes.table import RUNTIMES

SIDE = 8
ENGINES = ("onnxruntime", "openvino")
_STEPS = (
    "conv", "conv", "conv", "transposed", "norm", "activation", "activation", "pool", "concat",
    "split", "sum", "scale", "resize", "move", "softmax",
)  # fmt: skip


class Drawn:
    """A graph as it grows: `maps` are values with their channels and side."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.opset = draw(st.integers(7, 21))
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.maps: list[tuple[str, int, int]] = [("x", 3, SIDE)]
        self.shared: list[tuple[str, tuple[int, ...]]] = []

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        number = len(self.nodes)
        names = [f"v{number}_{index}" for index in range(outputs)]
        node = helper.make_node(operator, inputs, names, f"n{number}", **attributes)
        self.nodes.append(node)
        return names

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        array = np.asarray(array, dtype)
        name = f"c{len(self.constants) + len(self.nodes)}_{len(self.nodes)}"
        if self.pick(False, False, True):
            value = numpy_helper.from_array(array, name)
            return self.add("Constant", value=value)[0]
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weights(self, *shape: int) -> str:
        same = [name for name, known in self.shared if known == shape]
        if same and self.pick(False, True):
            return same[0]
        spread = (2 / max(1, np.prod(shape[1:]))) ** 0.5
        name = self.constant(self.rng.normal(0, spread, shape))
        self.shared.append((name, shape))
        return name

    def step(self) -> None:
        name, channels, side = self.pick(*self.maps)
        made = getattr(self, self.pick(*_STEPS))(name, channels, side)
        self.maps += [one for one in made if one[2] >= 2]

    def conv(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        size, dilation = self.pick(1, 3), self.pick(1, 2)
        groups = self.pick(1, 1, channels, 2 if channels % 2 == 0 else 1)
        made = groups * self.pick(1, 4) if groups > 1 else self.pick(4, 8)
        stride = self.pick(1, 1, 2)
        padding: dict[str, Any] = {"pads": [size // 2 * dilation] * 4}
        if dilation == 1 and self.pick(False, True):
            padding = {"auto_pad": self.pick("SAME_UPPER", "SAME_LOWER")}
        inputs = [name, self.weights(made, channels // groups, size, size)]
        if self.pick(False, True):
            inputs.append(self.constant(self.rng.normal(0, 0.2, made)))
        result = self.add(
            "Conv", *inputs, group=groups, dilations=[dilation] * 2, strides=[stride] * 2, **padding
        )
        return [(result[0], made, -(-side // stride))]

    def transposed(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        if side > SIDE:
            return []
        weights = self.weights(channels, 4, 2, 2)
        return [(self.add("ConvTranspose", name, weights, strides=[2, 2])[0], 4, 2 * side)]

    def norm(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        kinds = [self.rng.uniform(0.5, 1.5, channels), self.rng.normal(0, 0.3, channels)]
        if self.pick(False, False, True):
            values = [self.constant(one) for one in kinds]
            return [(self.add("InstanceNormalization", name, *values)[0], channels, side)]
        kinds += [self.rng.normal(0, 0.3, channels), self.rng.uniform(0.3, 2, channels)]
        values = [self.constant(one) for one in kinds]
        return [(self.add("BatchNormalization", name, *values)[0], channels, side)]

    def activation(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        kind = self.pick(
            "Relu", "Relu", "Clip", "Sigmoid", "HardSigmoid", "LeakyRelu", "PRelu", "Tanh", "Elu",
            "HardSwish", "Softplus",
        )  # fmt: skip
        if kind == "Clip" and self.opset < 11:
            result = self.add("Clip", name, min=0.0, max=2.0)
        elif kind == "Clip":
            result = self.add("Clip", name, self.constant(0.0), self.constant(2.0))
        elif kind == "PRelu":
            result = self.add("PRelu", name, self.constant(np.full((channels, 1, 1), 0.2)))
        elif kind == "HardSwish" and self.opset < 14:
            result = self.add("Mul", name, self.add("HardSigmoid", name, alpha=1 / 6)[0])
        else:
            result = self.add(kind, name)
        return [(result[0], channels, side)]

    def pool(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        if side < 3:
            return []
        kind = self.pick("MaxPool", "AveragePool")
        size = self.pick(2, 3)
        result = self.add(
            kind, name, kernel_shape=[size] * 2, strides=[2, 2], pads=[0, 0, size - 2, size - 2]
        )
        return [(result[0], channels, (side - 2) // 2 + 1)]

    def concat(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        others = [one for one in self.maps if one[2] == side]
        other = self.pick(*others)
        if channels + other[1] > 24:
            return []
        return [(self.add("Concat", name, other[0], axis=1)[0], channels + other[1], side)]

    def split(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        if channels % 2:
            return []
        half = channels // 2
        if self.opset < 13:
            parts = self.add("Split", name, outputs=2, axis=1, split=[half, half])
        else:
            parts = self.add("Split", name, self.constant([half] * 2, np.int64), outputs=2, axis=1)
        return [(part, half, side) for part in parts]

    def sum(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        others = [one for one in self.maps if one[2] == side and one[1] in (1, channels)]
        operator = self.pick("Add", "Add", "Mul", "Sub", "Max")
        if operator == "Max" and self.opset < 8:
            operator = "Add"
        if self.pick(False, True):
            inner = self.pick((channels, 1, 1), (1,), (1, channels, 1, 1))
            other = self.constant(self.rng.normal(0, 1, inner))
        elif self.pick(False, True):
            other = self.add("GlobalAveragePool", name)[0]
        elif others:
            other = self.pick(*others)[0]
        else:
            return []
        return [(self.add(operator, name, other)[0], channels, side)]

    def scale(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        gate = self.add("GlobalAveragePool", name)[0]
        gate = self.add("Conv", gate, self.weights(channels, channels, 1, 1))[0]
        gate = self.add("Sigmoid", gate)[0]
        return [(self.add("Mul", gate, name)[0], channels, side)]

    def resize(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        if side > SIDE:
            return []
        mode, scales = self.pick("nearest", "linear"), [1.0, 1.0, 2.0, 2.0]
        if self.opset < 9:
            result = self.add("Upsample", name, mode=mode, scales=scales)
        elif self.opset == 9:
            result = self.add("Upsample", name, self.constant(scales), mode=mode)
        elif self.opset == 10:
            result = self.add("Resize", name, self.constant(scales), mode=mode)
        else:
            form = self.pick("asymmetric", "half_pixel", "align_corners")
            more = {"mode": mode, "coordinate_transformation_mode": form}
            if mode == "nearest":
                more["nearest_mode"] = "floor"
            empty = self.constant([]) if self.opset < 13 else ""
            result = self.add("Resize", name, empty, self.constant(scales), **more)
        return [(result[0], channels, 2 * side)]

    def move(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        kind = self.pick("Identity", "Transpose", "Reshape", "Pad", "Slice")
        if kind == "Transpose":
            result = self.add("Transpose", name, perm=[0, 1, 3, 2])
        elif kind == "Reshape" and channels % 2 == 0:
            shape = self.constant([0, 2, channels // 2, side, side], np.int64)
            turned = self.add(
                "Transpose", self.add("Reshape", name, shape)[0], perm=[0, 2, 1, 3, 4]
            )
            result = self.add(
                "Reshape", turned[0], self.constant([0, channels, side, side], np.int64)
            )
        elif kind == "Pad" and side <= SIDE:
            pads = [0, 0, 0, 1, 0, 0, 1, 0]
            mode = self.pick("constant", "reflect", "edge")
            if self.opset < 11:
                result = self.add("Pad", name, pads=pads, mode=mode)
            else:
                result = self.add("Pad", name, self.constant(pads, np.int64), mode=mode)
            side += 1
        elif kind == "Slice" and side > 2:
            if self.opset < 10:
                result = self.add("Slice", name, axes=[2, 3], starts=[1, 0], ends=[99, side - 1])
            else:
                numbers = ([1, 0], [99, side - 1], [2, 3])
                result = self.add("Slice", name, *(self.constant(n, np.int64) for n in numbers))
            side -= 1
        else:
            result = self.add("Identity", name)
        return [(result[0], channels, side)]

    def softmax(self, name: str, channels: int, side: int) -> list[tuple[str, int, int]]:
        axis = 3 if self.opset < 13 else self.pick(1, 3)
        return [(self.add("Softmax", name, axis=axis)[0], channels, side)]

    def head(self, name: str, channels: int, side: int) -> str:
        kind = self.pick("none", "gemm", "matmul", "flatten")
        if kind == "none":
            return name
        if kind == "flatten" and side <= 4:
            channels *= side * side
        elif self.opset < 18 and self.pick(False, True):
            name = self.add("ReduceMean", name, axes=[2, 3], keepdims=1)[0]
        else:
            name = self.add("GlobalAveragePool", name)[0]
        name = self.add("Flatten", name)[0]
        bias = self.constant(self.rng.normal(0, 0.2, 5))
        if kind == "matmul":
            return self.add("Add", self.add("MatMul", name, self.weights(channels, 5))[0], bias)[0]
        if self.pick(False, True):
            return self.add("Gemm", name, self.weights(5, channels), bias, transB=1)[0]
        return self.add("Gemm", name, self.weights(channels, 5), bias, alpha=self.pick(1.0, 0.5))[0]

    def model(self) -> onnx.ModelProto:
        for _ in range(self.draw(st.integers(1, 9))):
            self.step()
        names = [self.head(*self.maps[-1])]
        if self.pick(False, False, True):
            names.append(self.pick(*self.maps)[0])
        outputs = list(dict.fromkeys(name for name in names if name != "x"))
        if not outputs:
            outputs = self.add("Relu", "x")
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.constants,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        version = self.pick(4, 8) if self.opset < 18 else 10
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)


@st.composite
def graphs(draw: Any) -> onnx.ModelProto:
    return Drawn(draw).model()


def pictures(count: int, seed: int) -> Inputs:
    return {"x": np.random.default_rng(seed).normal(0, 1, (count, 3, SIDE, SIDE)).astype("f4")}


def plain(model: onnx.ModelProto, inputs: Inputs) -> Outputs | None:
    """Return ONNX Runtime's answers without any optimization; None if it takes no such graph."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return list(session.run(None, inputs))
    except Exception:  # noqa: BLE001 - not a graph that anybody could have
        return None


def context(runtime: str) -> PassContext:
    def calibration(samples: int) -> Iterator[Inputs]:
        yield pictures(samples, 1)

    def refuse(*_: Any) -> Any:
        raise AssertionError("int8 neither trains nor times")

    quantized = RUNTIMES[runtime]().quantized_graphs("cpu")
    target = Target(runtime, "cpu", quantized=quantized)
    return PassContext(
        pictures(1, 0), calibration, refuse, target, Path("none"), lambda *_: None, refuse
    )


def answers(runtime: str, graph: onnx.ModelProto, quantized: bool) -> Outputs:
    """Return what an engine answers to four pictures, its breakdown having been checked."""
    specs = (InputSpec("x", "float32", ("batch", 3, SIDE, SIDE)),)
    names = tuple(value.name for value in graph.graph.output)
    with tempfile.TemporaryDirectory(prefix="perfsuite-") as name:
        folder = Path(name)
        path = folder / "drawn.onnx"
        onnx.save(graph, path)
        made = folder / "made"
        made.mkdir()
        engine = RUNTIMES[runtime]()
        manifest = Manifest(runtime, "cpu", "fp32", 1, specs, names, quantized, quantized)
        engine.build(Variant(path, None, quantized), manifest, made)
        with engine.open(made, manifest, SessionOptions(4, 1, inspect=True)) as session:
            found = session.run(pictures(4, 2))
            session.evidence()
            profile = session.profile([pictures(4, 2)], 2)
    check_breakdown(profile, graph)
    return found


def check_breakdown(profile: Any, graph: onnx.ModelProto) -> None:
    """Every kernel is placed at nodes that the graph has, and the rows add up to the calls."""
    nodes = {node.name for node in graph.graph.node}
    for kernel in profile.kernels:
        assert {*kernel.origins, *kernel.neighbours} <= nodes, kernel
    found = breakdown(profile, graph_nodes(graph, pictures(4, 2)), ())
    assert abs(sum(row.time_s for row in found.rows) - found.total_s) <= 1e-6 * found.total_s


def check(model: onnx.ModelProto) -> None:
    """Raise `AssertionError` if an engine or int8 makes of `model` what it must not."""
    wanted = plain(model, pictures(4, 2))
    if wanted is None or not all(np.isfinite(one).all() for one in wanted):
        return
    for runtime in ENGINES:
        try:
            found = answers(runtime, model, quantized=False)
        except PerfsuiteError as error:
            assert "perfsuite's" not in str(error), error
            continue
        for ours, theirs in zip(found, wanted, strict=True):
            largest = max(1e-3, float(np.abs(theirs).max()))
            assert np.abs(ours - theirs).max() <= 1e-3 * largest, f"{runtime} fp32"
        try:
            rounded = Int8(calibration_samples=16).apply(model, context(runtime))
            found = answers(runtime, rounded, quantized=True)
        except PerfsuiteError as error:
            assert "perfsuite's" not in str(error), error
            continue
        for ours, theirs in zip(found, wanted, strict=True):
            spread = np.linalg.norm(theirs)
            assert np.linalg.norm(ours - theirs) <= 0.3 * spread + 1e-3, f"{runtime} int8"


def check_drawn(*, examples: int, until_s: float, seed: int) -> int:
    """Check graphs until a time of the monotonic clock; return how many an engine could take.

    A graph that fails is made smaller as long as time remains, and printed as text.
    """
    taken = 0

    @seeded(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(graphs())
    def one(model: onnx.ModelProto) -> None:
        nonlocal taken
        if time.monotonic() >= until_s:
            raise KeyboardInterrupt  # hypothesis would draw all that remain
        taken += plain(model, pictures(1, 2)) is not None
        try:
            check(model)
        except Exception as error:
            error.add_note(onnx.printer.to_text(model)[:4000])
            raise

    try:
        one()
    except KeyboardInterrupt:
        if time.monotonic() < until_s:
            raise
    return taken

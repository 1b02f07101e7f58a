"""What every graph pass gives runs in ONNX Runtime and in OpenVINO, and answers nearly alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_passes import GRAPH_PASSES, small_pass

from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.passes.table import PASSES
from perfsuite.runtimes.table import RUNTIMES

ENGINES = ("onnxruntime", "openvino")


def small_graph() -> onnx.ModelProto:
    """Two convolutions with a shortcut around the second, pooling, a linear layer."""
    rng = np.random.default_rng(7)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["images", "w1", "b1"], ["c1"], "stem/Conv", pads=[1] * 4),
        helper.make_node("Relu", ["c1"], ["r1"], "stem/Relu"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "block/Conv", pads=[1] * 4),
        helper.make_node("Add", ["c2", "r1"], ["s"], "block/Add"),
        helper.make_node("Relu", ["s"], ["r2"], "block/Relu"),
        helper.make_node("MaxPool", ["r2"], ["p"], "head/MaxPool", kernel_shape=[8, 8]),
        helper.make_node("Flatten", ["p"], ["f"], "head/Flatten"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["logits"], "head/Gemm"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5])],
        [
            *(constant("w1", 8, 3, 3, 3), constant("b1", 8)),
            *(constant("w2", 8, 8, 3, 3), constant("b2", 8)),
            *(constant("w3", 8, 5), constant("b3", 5)),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def pictures(samples: int, seed: int = 0) -> np.ndarray:
    shape = (samples, 3, 8, 8)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def context(runtime: str, checkpoint: Path) -> PassContext:
    def calibration(samples: int) -> Iterator[Inputs]:
        for start in range(0, samples, 16):
            yield {"images": pictures(min(16, samples - start), start)}

    def train() -> TrainingSet:
        raise AssertionError("a graph pass does not train")

    return PassContext(
        inputs={"images": pictures(1)},
        calibration=calibration,
        train=train,
        target=Target(runtime, "cpu", quantized=RUNTIMES[runtime]().quantized_graphs("cpu")),
        checkpoint=checkpoint,
        progress=lambda done, total: None,
        latency_s=no_clock,
    )


def no_clock(candidates: object, cold_bytes: int = 0) -> tuple[float, ...]:
    raise AssertionError("a graph pass does not listen to the clock")


def answers_of(model: onnx.ModelProto, engine: str, images: np.ndarray) -> np.ndarray:
    content = model.SerializeToString()
    if engine == "onnxruntime":
        session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {"images": images})[0])
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(content), "CPU", settings)
    return np.asarray(compiled([images])[0])


@pytest.mark.parametrize("name", sorted(PASSES))
def test_configuration_survives_json(name: str) -> None:
    made = small_pass(name)
    kind = type(made)
    assert msgspec.json.decode(msgspec.json.encode(made), type=kind) == made
    with pytest.raises(msgspec.ValidationError, match="no_such_field"):
        fields = msgspec.json.decode(msgspec.json.encode(made))
        msgspec.json.decode(msgspec.json.encode({**fields, "no_such_field": 1}), type=kind)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", GRAPH_PASSES)
def test_graph_runs_and_answers_alike(name: str, engine: str, tmp_path: Path) -> None:
    graph = small_graph()
    before = graph.SerializeToString()
    changed: onnx.ModelProto = small_pass(name).apply(graph, context(engine, tmp_path))
    assert graph.SerializeToString() == before
    onnx.checker.check_model(changed, full_check=True)
    assert [*map(str, changed.graph.input)] == [*map(str, graph.graph.input)]
    assert [*map(str, changed.graph.output)] == [*map(str, graph.graph.output)]
    assert {node.domain for node in changed.graph.node} == {""}
    for batch in (1, 5):
        images = pictures(batch, 99)
        expected = answers_of(graph, "onnxruntime", images)
        answered = answers_of(changed, engine, images)
        assert answered.shape == (batch, 5)
        assert np.abs(answered - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", GRAPH_PASSES)
def test_twice_gives_equal_bytes(name: str, engine: str, tmp_path: Path) -> None:
    made: Any = small_pass(name)
    first, second = (made.apply(small_graph(), context(engine, tmp_path)) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()


@pytest.mark.parametrize("name", sorted(PASSES))
def test_resolve_is_a_pure_text(name: str) -> None:
    made = small_pass(name)
    for runtime in ENGINES:
        target = context(runtime, Path()).target
        assert isinstance(made.resolve(target), str)
        assert made.resolve(target) == made.resolve(context(runtime, Path()).target)


def test_the_table_is_cheap_to_import() -> None:
    program = (
        "import sys; from perfsuite.passes.table import PASSES; [f() for f in PASSES.values()]; "
        "print([m for m in ('torch', 'onnx', 'onnxruntime', 'openvino') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

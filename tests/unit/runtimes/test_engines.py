"""Particulars of single engines: precision, unusual modules, errors in words."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from alike import assert_alike

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import BuildError, SchemaError, SilentFallback, Unavailable, Unsupported
from perfsuite.runtimes.fake.runtime import Fake
from perfsuite.runtimes.onnxruntime import runtime as engine_module
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime
from perfsuite.runtimes.openvino.runtime import OpenVino
from perfsuite.runtimes.pytorch.runtime import PyTorch, run_module
from perfsuite.runtimes.shared import threads as threads_module
from perfsuite.runtimes.shared.base import build_error, lacks_operator, trimmed, versions
from perfsuite.runtimes.shared.precision import check_precision, compute_precisions

SPEC = (InputSpec("x", "float32", ("batch", 8)),)


def manifest(runtime: str, precision: str = "fp32", *, quantized: bool = False) -> Manifest:
    return Manifest(runtime, "cpu", precision, 1, SPEC, ("y",), quantized, quantized)


def samples(batch: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(0).normal(size=(batch, 8)).astype(np.float32)}


# -- PyTorch ---------------------------------------------------------------------------------


def tied() -> Any:
    """A module with shared weights, an integer buffer, and outputs in a dictionary and a tuple."""
    import torch
    from torch import nn

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(8, 8, bias=False)
            self.two = nn.Linear(8, 8, bias=False)
            self.two.weight = self.one.weight
            self.register_buffer("steps", torch.tensor(3))

        def forward(self, x: Any) -> Any:
            return {"logits": self.two(self.one(x)), "more": (x.argmax(1), self.steps + 0)}

    return Tied()


def test_pytorch_takes_its_weights_from_the_artifact(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    original = tied()
    PyTorch().build(Variant(None, lambda: original, False), manifest("pytorch"), tmp_path)
    torch.manual_seed(1)
    with PyTorch().open(
        tmp_path, manifest("pytorch"), SessionOptions(2, 1, rebuild=tied)
    ) as session:
        outputs = session.run(samples(2))
    expected = run_module(original, samples(2))
    assert [output.dtype.kind for output in outputs] == ["f", "i", "i"]
    for got, wanted in zip(outputs, expected, strict=True):
        assert_alike(got, wanted)


def test_pytorch_refuses_weights_of_another_module(tmp_path: Path) -> None:
    from torch import nn

    PyTorch().build(Variant(None, tied, False), manifest("pytorch"), tmp_path)
    options = SessionOptions(1, 1, rebuild=lambda: nn.Linear(8, 2))
    with pytest.raises(SchemaError, match="do not fit Linear"):
        PyTorch().open(tmp_path, manifest("pytorch"), options)


def test_pytorch_runs_a_module_without_weights(tmp_path: Path) -> None:
    from torch import nn

    PyTorch().build(Variant(None, nn.ReLU, False), manifest("pytorch"), tmp_path)
    with PyTorch().open(
        tmp_path, manifest("pytorch"), SessionOptions(1, 1, rebuild=nn.ReLU)
    ) as session:
        assert np.array_equal(session.run(samples(1))[0], np.maximum(samples(1)["x"], 0))


def test_pytorch_in_bf16_is_proven_and_answers_in_float32(tmp_path: Path) -> None:
    made = manifest("pytorch", "bf16")
    PyTorch().build(Variant(None, tied, False), made, tmp_path)
    with PyTorch().open(
        tmp_path, made, SessionOptions(1, 1, inspect=True, rebuild=tied)
    ) as session:
        assert session.run(samples(1))[0].dtype == np.float32
        evidence = session.evidence()
    assert compute_precisions(evidence.kernels) == {"bf16": 2}
    assert [(one.layer, one.precision) for one in evidence.layers] == [
        ("one", "bf16"),
        ("two", "bf16"),
    ]
    check_precision(evidence, made)
    with pytest.raises(SilentFallback):
        check_precision(evidence, msgspec.structs.replace(made, precision="fp32"))


def test_a_module_that_cannot_be_watched_still_has_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed() -> Any:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr("perfsuite.runtimes.pytorch.marked_call.heard", closed)
    made = manifest("pytorch")
    PyTorch().build(Variant(None, tied, False), made, tmp_path)
    with PyTorch().open(
        tmp_path, made, SessionOptions(1, 1, inspect=True, rebuild=tied)
    ) as session:
        session.run(samples(1))
        evidence = session.evidence()
    assert evidence.layers == () and compute_precisions(evidence.kernels) == {"fp32": 2}
    (why,) = [item.value for item in evidence.items if item.about == "layers"]
    assert why == "OSError: [Errno 9] Bad file descriptor"


def test_pytorch_takes_neither_graphs_nor_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="a quantized graph is an ONNX graph"):
        PyTorch().build(Variant(tmp_path, tied, quantized=True), manifest("pytorch"), tmp_path)
    with pytest.raises(Unsupported, match="not an ONNX file"):
        PyTorch().build(Variant(tmp_path, None, quantized=False), manifest("pytorch"), tmp_path)


# -- engines that take graphs ----------------------------------------------------------------


def quantized_graph(path: Path) -> None:
    """Write x, quantized, times an int8 matrix, as explicit Q/DQ."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def pair(name: str, scale: float, zero: np.ndarray) -> dict[str, np.ndarray]:
        return {f"{name}_scale": np.float32(scale), f"{name}_zero": zero}

    weight = np.random.default_rng(1).integers(-127, 127, (8, 16)).astype(np.int8)
    constants = {"w": weight, **pair("x", 0.03, np.uint8(128)), **pair("w", 0.01, np.int8(0))}
    constants.update(pair("y", 0.1, np.uint8(128)))
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["xq"]),
        node("DequantizeLinear", ["xq", "x_scale", "x_zero"], ["xd"]),
        node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["wd"]),
        node("MatMul", ["xd", "wd"], ["m"]),
        node("QuantizeLinear", ["m", "y_scale", "y_zero"], ["mq"]),
        node("DequantizeLinear", ["mq", "y_scale", "y_zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 16])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)


@pytest.mark.parametrize("engine", [OnnxRuntime, OpenVino])
def test_int8_kernels_run_on_a_quantized_graph_and_are_proven(engine: Any, tmp_path: Path) -> None:
    quantized_graph(tmp_path / "q.onnx")
    folder = tmp_path / "artifact"
    folder.mkdir()
    made = manifest(engine.name, quantized=True)
    engine().build(Variant(tmp_path / "q.onnx", None, True), made, folder)
    with engine().open(folder, made, SessionOptions(4, 1, inspect=True)) as session:
        answer = session.run(samples(4))[0]
        evidence = session.evidence()
    assert answer.shape == (4, 16)
    assert compute_precisions(evidence.kernels) == {"int8": 1}
    (layer,) = evidence.layers
    assert layer.precision == "int8" and layer.library and layer.kernel
    told = {(item.about, item.name.lower()) for item in evidence.items}
    assert ("denormals", "weights") in told
    assert any(about == "setting" and "denormal" in name for about, name in told)
    assert any(about == "engine" for about, _ in told)
    check_precision(evidence, made)
    with pytest.raises(SilentFallback, match="fp32 was asked for"):
        check_precision(evidence, manifest(engine.name))


@pytest.mark.parametrize("engine", [OnnxRuntime, OpenVino])
def test_without_inspect_there_is_no_profiler_and_no_kernel(engine: Any, tmp_path: Path) -> None:
    quantized_graph(tmp_path / "q.onnx")
    made = manifest(engine.name, quantized=True)
    engine().build(Variant(tmp_path / "q.onnx", None, True), made, tmp_path)
    with engine().open(tmp_path, made, SessionOptions(1, 1)) as session:
        session.run(samples(1))
        assert session.evidence().kernels == {}


@pytest.mark.parametrize("engine", [OnnxRuntime, OpenVino])
def test_a_graph_engine_needs_a_graph(engine: Any, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="takes an ONNX graph"):
        engine().build(Variant(None, tied, False), manifest(engine.name), tmp_path)


def test_openvino_refuses_a_precision_that_the_processor_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import openvino

    quantized_graph(tmp_path / "q.onnx")
    made = manifest("openvino", "bf16")
    OpenVino().build(Variant(tmp_path / "q.onnx", None, False), made, tmp_path)
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8"])
    with pytest.raises(Unsupported, match="bf16: this processor computes in FP32, INT8"):
        OpenVino().open(tmp_path, made, SessionOptions(1, 1))


# -- words -----------------------------------------------------------------------------------


def test_an_engine_that_is_not_installed_is_unavailable_with_the_command() -> None:
    with pytest.raises(Unavailable, match="install it with: pip install frob"):
        versions("frobnicator", ("frob",), "pip install frob")


@pytest.mark.parametrize(
    "message",
    [
        "Load model failed:Fatal error: com.foo:Bar(-1) is not a registered function/op",
        "Summary:\n-- No conversion rule found for operations: com.foo:Bar\n\n",
    ],
)
def test_a_missing_operator_is_found_in_the_message(message: str) -> None:
    error = build_error("engine", Path("folder/net.onnx"), RuntimeError(message))
    assert isinstance(error, Unsupported)
    assert "Bar" in str(error) and "net.onnx" in str(error)


def test_an_operator_in_types_that_the_engine_lacks_is_told_as_that() -> None:
    message = "NOT_IMPLEMENTED : Could not find an implementation for Conv(11) node with name ''"
    error = build_error("engine", Path("folder/net.onnx"), RuntimeError(message))
    assert isinstance(error, Unsupported)
    assert str(error).startswith("engine has no kernel for Conv (of operator set 11) in the types")


@pytest.mark.parametrize(
    ("operator", "own"),
    [("com.foo:Bar", True), ("ai.onnx.ml:Scaler", False), ("ai.onnx.preview.Flex", False)],
)
def test_an_operator_of_onnx_is_none_of_the_users_own(operator: str, own: bool) -> None:
    told = str(lacks_operator("engine", operator, Path("net.onnx")))
    assert ("an operator of your own" in told) == own


@pytest.mark.parametrize(
    ("operator", "advice"),
    [
        ("com.microsoft.nchwc:Conv", "give the file that this one was made from"),
        ("com.ms.internal.nhwc.Conv, com.foo.Bar", "give the file that this one was made from"),
        ("TRT:EfficientNMS_TRT", "it is a plug-in of TensorRT: export the model without it"),
    ],
)
def test_operators_that_somebody_else_wrote_are_told_as_that(operator: str, advice: str) -> None:
    told = str(lacks_operator("engine", operator, Path("net.onnx")))
    assert advice in told and "of your own" not in told


def test_other_messages_are_trimmed_to_what_they_tell() -> None:
    text = "Exception from src/core.cpp:84:\nCheck 'false' failed at src/a.cpp:15:\nNo room.\n\n"
    assert trimmed(text) == "No room."
    error = build_error("engine", Path("net.onnx"), RuntimeError("x" * 1000))
    assert type(error) is BuildError
    assert len(str(error)) < 500


# -- threads ---------------------------------------------------------------------------------


def threads_seen(engine: Any, folder: Path, threads: int) -> dict[str, str]:
    """Return what the engine says of its threads after a call, opened with `threads`."""
    made = manifest(engine.name)
    engine.build(Variant(folder / "q.onnx", wide, False), made, folder)
    options = SessionOptions(1, threads, inspect=True, rebuild=wide)
    with engine.open(folder, made, options) as session:
        session.run(samples(1))
        items = session.evidence().items
    return {item.name: item.value for item in items if item.about == "threads"}


def wide() -> Any:
    from torch import nn

    return nn.Linear(8, 16)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_onnxruntimes_threads_are_those_that_the_kernel_lists(tmp_path: Path, threads: int) -> None:
    quantized_graph(tmp_path / "q.onnx")
    assert threads_seen(OnnxRuntime(), tmp_path, threads) == {"intra-op": str(threads)}


def test_the_request_is_not_repeated_as_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that is not told how many threads to start takes as many as it likes."""
    quantized_graph(tmp_path / "q.onnx")
    plain = engine_module._options
    monkeypatch.setattr(engine_module, "_options", lambda threads, operators: plain(1))
    assert threads_seen(OnnxRuntime(), tmp_path, 3) == {"intra-op": "1"}


def test_openvino_says_how_many_threads_it_has_not_how_many_were_asked_for(tmp_path: Path) -> None:
    import openvino

    quantized_graph(tmp_path / "q.onnx")
    seen = threads_seen(OpenVino(), tmp_path, 1000)
    cores = openvino.Core().get_property("CPU", "RANGE_FOR_STREAMS")[1]
    assert int(seen["INFERENCE_NUM_THREADS"]) <= max(cores, os.cpu_count() or 1) < 1000
    assert seen["NUM_STREAMS"] == "1"


@pytest.mark.parametrize("threads", [1, 2])
def test_pytorchs_threads_are_torchs_own_number(tmp_path: Path, threads: int) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        assert threads_seen(PyTorch(), tmp_path, threads)["intra-op"] == str(threads)
    finally:
        torch.set_num_threads(before)


def test_the_scripted_engine_computes_in_the_thread_that_calls_it(tmp_path: Path) -> None:
    quantized_graph(tmp_path / "q.onnx")
    assert threads_seen(Fake(), tmp_path, 4) == {"the caller's": "1"}


def test_where_the_kernel_lists_no_threads_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads_module, "TASKS", tmp_path / "no")
    quantized_graph(tmp_path / "q.onnx")
    assert threads_seen(OnnxRuntime(), tmp_path, 2) == {}

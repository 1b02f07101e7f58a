"""ONNX Runtime on a card: what is bound, what is asked of the provider, and the words for errors.

The engine and the driver are scripts; what only a card shows is in tests/gpu.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_cuda import FakeCuda

from perfsuite.domain.runtime import SessionOptions
from perfsuite.errors import BuildError, Unavailable
from perfsuite.runtimes.onnxruntime import cuda
from perfsuite.runtimes.onnxruntime.cuda import (
    LIBRARY,
    CudaOpening,
    OnnxCudaSession,
    OnnxRuntimeCuda,
)
from perfsuite.runtimes.shared.cuda_driver import Driver, Stream

PICTURES = np.zeros((1, 3, 4, 4), np.float32)


class Binding:
    """Where the inputs and outputs of a call lie."""

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, str] = {}

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.inputs[name] = value

    def bind_output(self, name: str, device: str, index: int) -> None:
        self.outputs[name] = f"{device}:{index}"


class Engine:
    """A session of ONNX Runtime that computes nothing."""

    def __init__(self, card: FakeCuda | None = None, kind: str = "tensor(float)") -> None:
        self.card, self.kind, self.bound = card, kind, list[Binding]()
        self.error = ""

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="x", type=self.kind)]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="y", type="tensor(float)")]

    def io_binding(self) -> Binding:
        return Binding()

    def run_with_iobinding(self, binding: Binding, options: Any) -> None:
        assert options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
        self.bound.append(binding)
        if self.card is not None:
            self.card.now_ms += 2.0

    def run(self, _: None, inputs: Any) -> list[np.ndarray]:
        if self.error:
            raise RuntimeError(self.error)
        return [inputs["x"]]


@pytest.fixture
def opening() -> CudaOpening:
    return CudaOpening(Path("net.onnx"), SessionOptions(1, 1), stream=Stream(Driver(FakeCuda())))


def test_bound_calls_leave_inputs_and_outputs_on_the_card(
    opening: CudaOpening, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    def placed(array: np.ndarray, device: str, index: int) -> tuple[np.ndarray, str]:
        return array, f"{device}:{index}"

    monkeypatch.setattr(onnxruntime, "OrtValue", SimpleNamespace(ortvalue_from_numpy=placed))
    card = FakeCuda()
    stream = Stream(Driver(card))
    engine = Engine(card)
    opened = CudaOpening(opening.path, opening.options, stream=stream)
    session = OnnxCudaSession(opened, engine, None, None)
    found = session.time_bound([{"x": PICTURES}, {"x": PICTURES + 1}], 3, 0.0)
    assert found is not None
    assert found.device_s == pytest.approx((2e-3, 2e-3, 2e-3)), "by the card's clock"
    assert len(found.host_s) == 3
    (array, place) = engine.bound[0].inputs["x"]
    assert array is PICTURES and place == "cuda:0"
    assert engine.bound[0].outputs == {"y": "cuda:0"}
    assert len({id(one) for one in engine.bound}) == 2, "each input was placed once"


def test_inputs_that_cannot_lie_on_a_card_have_no_such_times(opening: CudaOpening) -> None:
    for kind in ("tensor(string)", "seq(tensor(float))"):
        session = OnnxCudaSession(opening, Engine(kind=kind), None, None)
        assert session.time_bound([{"x": PICTURES}], 1, 0.0) is None


def test_fp32_is_asked_for_and_calls_go_into_the_stream_that_is_timed(opening: CudaOpening) -> None:
    (name, settings), rest = opening.providers
    assert (name, rest) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert opening.stream is not None
    handle = str(opening.stream.handle.value)
    assert settings == {"device_id": "0", "use_tf32": "0", "user_compute_stream": handle}


def test_fp16_is_a_graph_of_that_type() -> None:
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    runtime = OnnxRuntimeCuda()
    assert runtime._typed(model, "fp32") is model
    typed = onnx.shape_inference.infer_shapes(runtime._typed(model, "fp16")).graph
    assert [one.op_type for one in typed.node] == ["Cast", "Relu", "Cast"]
    assert {one.type.tensor_type.elem_type for one in typed.value_info} == {TensorProto.FLOAT16}
    assert typed.input[0].type.tensor_type.elem_type == TensorProto.FLOAT


def test_a_lack_of_the_cards_memory_is_told_in_words(opening: CudaOpening) -> None:
    engine = Engine()
    session = OnnxCudaSession(opening, engine, None, None)
    assert session.run({"x": PICTURES})[0] is PICTURES
    engine.error = "Failed to allocate memory for requested buffer of size 4294967296"
    with pytest.raises(BuildError, match="too little memory: take a smaller batch"):
        session.run({"x": PICTURES})
    engine.error = "CUDA failure 209: no kernel image is available for execution on the device"
    with pytest.raises(Unavailable, match="no kernels for the card: those for CUDA 12"):
        session.run({"x": PICTURES})
    engine.error = "shapes differ"
    with pytest.raises(RuntimeError, match="shapes differ") as raised:
        session.run({"x": PICTURES})
    assert raised.value.__cause__ is None


def test_so_it_is_where_buffers_are_bound(
    opening: CudaOpening, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    def full(*_: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory ; GPU=0")

    monkeypatch.setattr(onnxruntime, "OrtValue", SimpleNamespace(ortvalue_from_numpy=full))
    session = OnnxCudaSession(opening, Engine(), None, None)
    with pytest.raises(BuildError, match="too little memory: take a smaller batch"):
        session.time_bound([{"x": PICTURES}], 1, 0.0)


def test_a_build_for_the_processor_alone_says_what_to_install() -> None:
    with pytest.raises(Unavailable, match=r"pip install 'onnxruntime-gpu\[cuda,cudnn\]'"):
        OnnxRuntimeCuda().probe()


@pytest.fixture
def for_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """A machine with a build for cards, and its driver."""
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi" / LIBRARY).touch()
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    find = util.find_spec
    monkeypatch.setattr(
        cuda, "find_spec", lambda name: spec if name == "onnxruntime" else find(name)
    )
    card = FakeCuda()
    monkeypatch.setattr(cuda, "Driver", lambda: Driver(card))
    return card


def test_a_driver_that_is_too_old_for_the_build_is_told(
    for_cards: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0", raising=False)
    OnnxRuntimeCuda().require("cuda", "fp32")
    assert OnnxRuntimeCuda().identify("cuda").name == "NVIDIA H200"
    for_cards.cuda = 12080
    with pytest.raises(Unavailable, match=r"needs CUDA 13.0, .* CUDA 12.8 at most"):
        OnnxRuntimeCuda().require("cuda", "fp32")


def test_a_provider_that_does_not_start_is_no_silent_run_on_the_processor(
    opening: CudaOpening, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    session = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: session)
    with pytest.raises(Unavailable, match="a library of CUDA or cuDNN is missing"):
        opening.session(None)

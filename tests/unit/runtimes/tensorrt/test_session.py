"""Sessions of TensorRT on a scripted engine and card: calls, shapes, memory, layers, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_tensorrt
import numpy as np
import pytest
from fake_tensorrt import Card, FakeEngine, fake_module

from perfsuite.domain.model import InputSpec
from perfsuite.domain.profile import Node
from perfsuite.domain.runtime import Manifest, SessionOptions
from perfsuite.errors import BuildError, SchemaError, Unavailable
from perfsuite.runtimes.shared import cuda_driver
from perfsuite.runtimes.shared.precision import check_precision
from perfsuite.runtimes.tensorrt import runtime as under_test
from perfsuite.runtimes.tensorrt.built import ENGINE, Built, write_built
from perfsuite.runtimes.tensorrt.runtime import TensorRt
from perfsuite.runtimes.tensorrt.shapes import profiles

SPEC = (InputSpec("x", "float32", ("batch", 3)),)
NODES = (
    Node("conv", "Conv", "", ("x",), ("c",)),
    Node("relu", "Relu", "", ("c",), ("y",)),
)
MANIFEST = Manifest("tensorrt", "cuda", "fp16", 2, SPEC, ("y",), lossy=False, quantized=False)


# What sessions use of the library beside engines and contexts.
LIBRARY = {
    "IExecutionContext": ("profiler",),
    "ICudaEngine": ("num_io_tensors", "create_runtime_config"),
    "IRuntimeConfig": (
        "set_execution_context_allocation_strategy", "create_runtime_cache", "set_runtime_cache",
    ),
    "IRuntimeCache": ("serialize", "deserialize"),
    "Runtime": ("deserialize_cuda_engine",),
    "EngineInspector": ("execution_context", "get_engine_information"),
    "IProfiler": (),
    "IOutputAllocator": (),
    "TensorIOMode": ("INPUT", "OUTPUT"),
    "ExecutionContextAllocationStrategy": ("USER_MANAGED",),
    "LayerInformationFormat": ("JSON",),
}  # fmt: skip


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    found = Card(attributes={16: 128, 75: 8, 76: 9})
    monkeypatch.setattr(cuda_driver.ctypes, "CDLL", lambda name: found)
    return found


def opened(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: FakeEngine | None,
    *,
    inspect: bool = False,
    said: str = "",
    **changed: Any,
) -> Any:
    (folder / ENGINE).write_bytes(b"engine")
    told: dict[str, Any] = {
        "engine": "TensorRT",
        "version": "10.9.0",
        "capability": "sm_89",
        "profiles": profiles(SPEC, 2, {}),
        "nodes": NODES,
        "layers": (),
    }
    write_built(folder, Built(**told | changed))
    monkeypatch.setattr(under_test, "imported", lambda name: fake_module(engine, said))
    return TensorRt().open(folder, MANIFEST, SessionOptions(2, 1, inspect))


def rows(count: int, begin: float = 0.0) -> dict[str, np.ndarray]:
    return {"x": np.arange(count * 3, dtype=np.float32).reshape(count, 3) + np.float32(begin)}


def test_it_answers_in_memory_of_its_own_and_gives_all_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    engine = FakeEngine()
    with opened(tmp_path, monkeypatch, engine) as session:
        first, second = session.run(rows(2)), session.run(rows(2, 100.0))
        assert np.array_equal(first[0], rows(2)["x"] + 1)
        assert np.array_equal(second[0], rows(2)["x"] + 101)
        assert engine.contexts[0].profiles == [0], "the timed batch is the first profile"
        assert card.held
    assert not card.held
    session.close()


def test_another_batch_takes_the_second_profile_and_the_timed_one_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    engine = FakeEngine()
    with opened(tmp_path, monkeypatch, engine) as session:
        for count in (2, 5, 5, 64, 2):
            assert session.run(rows(count))[0].shape == (count, 3)
        assert engine.contexts[0].profiles == [0, 1, 0]
        with pytest.raises(BuildError, match=r"x \[65, 3\]\), but up to x \[64, 3\]"):
            session.run(rows(65))
        assert session.run(rows(2))[0].shape == (2, 3)


def test_an_output_whose_shape_values_decide_gets_its_memory_when_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    with opened(tmp_path, monkeypatch, FakeEngine(open_result=True)) as session:
        for count in (2, 7):
            assert np.array_equal(session.run(rows(count))[0], rows(count)["x"] + 1)
    assert not card.held


def test_one_that_finds_no_memory_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    with opened(tmp_path, monkeypatch, FakeEngine(open_result=True)) as session:
        session.run(rows(7))
        session._context._allocators["y"].free()  # all else has found room
        card.failing["cuMemAlloc_v2"] = 2
        with pytest.raises(BuildError, match="too little memory"):
            session.run(rows(7))


def test_an_engine_of_the_first_version_gets_its_memory_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    monkeypatch.delattr(fake_tensorrt.FakeContext, "set_device_memory")
    engine = FakeEngine()
    with opened(tmp_path, monkeypatch, engine) as session:
        session.run(rows(2))
        assert engine.contexts[0].device_memory in card.held


def test_calls_are_timed_with_inputs_bound_on_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    with opened(tmp_path, monkeypatch, FakeEngine()) as session:
        copies = card.called.count("cuMemcpyHtoDAsync_v2")
        found = session.time_bound([rows(2), rows(2, 5.0)], 4, 0.0)
        assert len(found.device_s) == len(found.host_s) == 4
        assert card.called.count("cuMemcpyHtoDAsync_v2") == copies + 2, "each input once"


def test_evidence_names_the_layers_that_ran_with_their_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    with opened(tmp_path, monkeypatch, FakeEngine(), inspect=True) as session:
        session.run(rows(2))
        evidence = session.evidence()
        assert session.evidence() == evidence
    assert evidence.kernels == {"Conv fp16": 1, "Reformat fp16": 1}
    check_precision(evidence, MANIFEST)
    assert [one.layer for one in evidence.layers] == ["conv"]
    assert ("version", "TensorRT", "10.9.0") in [
        (one.about, one.name, one.value) for one in evidence.items
    ]


def test_the_profile_has_the_nodes_merged_into_each_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    engine = FakeEngine()
    with opened(tmp_path, monkeypatch, engine, inspect=True) as session:
        found = session.profile([rows(2)], 3)
    conv, copy = found.kernels
    assert (conv.kind, conv.origins, conv.precision) == ("Conv", ("conv", "relu"), "fp16")
    assert (copy.kind, copy.origins, copy.neighbours) == ("Reformat", (), ("conv", "relu"))
    assert conv.times_s == pytest.approx((1e-9,) * 3)
    assert len(found.walls_s) == 3
    assert not card.held, "the profiled context's memory too"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"version": "10.3.0"}, r"built with TensorRT 10\.3\.0, and 10\.9\.0 is installed"),
        ({"capability": "sm_86"}, r"for a card with sm_86, and this one has sm_89"),
    ],
)
def test_an_engine_of_another_version_or_card_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card, changed: dict[str, str], told: str
) -> None:
    with pytest.raises(SchemaError, match=told):
        opened(tmp_path, monkeypatch, FakeEngine(), **changed)


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("CUDA driver version is insufficient for CUDA runtime", Unavailable, "driver is too old"),
        ("CUDA initialization failure with error: 100", Unavailable, "no NVIDIA card"),
        ("Serialization assertion magicTag failed", SchemaError, "build the artifact again"),
    ],
)
def test_an_engine_that_is_not_read_says_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    card: Card,
    said: str,
    kind: type[Exception],
    told: str,
) -> None:
    with pytest.raises(kind, match=told):
        opened(tmp_path, monkeypatch, None, said=said)


def test_a_card_without_memory_and_a_call_that_fails_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    engine = FakeEngine(failing="an illegal memory access was encountered")
    with opened(tmp_path, monkeypatch, engine) as session:
        with pytest.raises(BuildError, match="a call failed: an illegal memory access"):
            session.run(rows(2))
        card.failing["cuMemAlloc_v2"] = 2
        with pytest.raises(BuildError, match="too little memory"):
            session.run(rows(9))
        card.failing.clear()


def test_after_a_failure_on_the_card_it_closes_and_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    with (
        pytest.raises(BuildError, match=r"cuStreamSynchronize says .* 700"),
        opened(tmp_path, monkeypatch, FakeEngine()) as session,
    ):
        session.run(rows(2))
        card.failing |= dict.fromkeys(("cuStreamSynchronize", "cuMemFree_v2"), 700)
        session.run(rows(2))


def test_a_tensor_of_a_type_that_numpy_lacks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: Card
) -> None:
    engine = FakeEngine()
    engine.dtype = fake_tensorrt.DataType.BF16
    with pytest.raises(BuildError, match="BF16, a type that NumPy lacks"):
        opened(tmp_path, monkeypatch, engine)


def test_without_a_driver_it_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(cuda_driver.ctypes, "CDLL", missing)
    with pytest.raises(Unavailable, match="no NVIDIA driver"):
        opened(tmp_path, monkeypatch, FakeEngine())


@pytest.mark.parametrize(
    ("scripted", "real"),
    [
        (fake_tensorrt.FakeContext, "IExecutionContext"),
        (fake_tensorrt.FakeEngine, "ICudaEngine"),
    ],
)
def test_the_script_has_nothing_that_the_library_has_not(scripted: type, real: str) -> None:
    """What runs on a card alone is called by names that the installed library knows."""
    trt = pytest.importorskip("tensorrt_rtx", reason="pip install 'perfsuite[tensorrt-rtx]'")
    named = {name for name in vars(scripted) if not name.startswith("_")}
    assert named - set(dir(getattr(trt, real))) == set()


@pytest.mark.parametrize(("part", "names"), LIBRARY.items(), ids=LIBRARY)
def test_the_library_has_what_else_is_called_on_a_card(part: str, names: tuple[str, ...]) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="pip install 'perfsuite[tensorrt-rtx]'")
    assert set(names) - set(dir(getattr(trt, part))) == set()

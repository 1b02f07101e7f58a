"""Faults that are really set, in fresh processes of ordinary inspect jobs and of the machine look.

Several faults share a process, because importing torch takes longest; a process in which nothing is
set has none of them.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest
from seeded_faults import (
    ELSEWHERE,
    FAULTS,
    LIBRARY,
    NET,
    by_name,
    inspected,
    plain,
    prepared,
    write_graph,
)

from perfsuite.domain.finding import Finding
from perfsuite.domain.record import Evidence
from perfsuite.measure.environment import usable_threads
from perfsuite.processor import read_processor
from perfsuite.runner.job import Job
from perfsuite.runner.plain import plain_evidence

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")

CORES = usable_threads()
FLAGS = read_processor().flags
needs_avx2 = pytest.mark.skipif("avx2" not in FLAGS, reason="caps are of x86 with AVX2")
Found = dict[str, Finding]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("seeded")
    (made / "net.py").write_text(NET)
    (made / "elsewhere.py").write_text(ELSEWHERE)
    write_graph(made / "net.onnx")
    return made


@pytest.fixture(scope="module")
def pytorch(folder: Path) -> Job:
    return prepared(f"{folder}/net.py:net", "pytorch", CORES)


@pytest.fixture(scope="module")
def openvino(folder: Path) -> Job:
    return prepared(f"{folder}/net.onnx", "openvino", CORES)


@pytest.fixture(scope="module")
def onnxruntime(folder: Path) -> Job:
    return prepared(f"{folder}/net.onnx", "onnxruntime", CORES)


@pytest.fixture(scope="module")
def on_pytorch(pytorch: Job, folder: Path) -> Found:
    """Return what is found where all is set on PyTorch that does not hide another."""
    spec = find_spec("torch")
    assert spec is not None and spec.origin is not None
    second = folder / "libiomp5.so"  # whoever made it, it has its own threads
    shutil.copy(next((Path(spec.origin).parent / "lib").glob("libgomp*.so*")), second)
    environment = {
        FAULTS: "onednn-off one-thread denormals layout",
        LIBRARY: str(second),
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "ATEN_CPU_CAPABILITY": "default",
    }
    return by_name(inspected(pytorch, environment))


def test_onednn_off(on_pytorch: Found) -> None:
    one = on_pytorch["onednn-off"]
    assert "2 of 3 layers" in one.message and "torch.backends.mkldnn" in one.fix


@pytest.mark.skipif(CORES < 2, reason="one thread is all that there is")
def test_one_thread(on_pytorch: Found) -> None:
    one = on_pytorch["too-few-threads"]
    assert f"1 thread, {CORES} were asked for" in one.message
    assert "torch.set_num_threads" in one.fix


def test_denormals(on_pytorch: Found) -> None:
    one = on_pytorch["denormals"]
    assert one.severity == "fault" and "most in stem" in one.message
    assert "torch.set_flush_denormal(True)" in one.fix


def test_a_layout_in_no_order(on_pytorch: Found) -> None:
    one = on_pytorch["layout-copied"]
    assert "inputs of 1 of 2 convolutions" in one.message and ".contiguous()" in one.fix


def test_two_openmp_runtimes(on_pytorch: Found) -> None:
    one = on_pytorch["two-openmp-runtimes"]
    assert "libgomp" in one.message and "libiomp5.so" in one.message
    assert "LD_PRELOAD" in one.fix


@needs_avx2
def test_capped_instruction_sets(pytorch: Job, on_pytorch: Found) -> None:
    one = on_pytorch["instruction-set-capped"]  # the last one: PyTorch's own
    assert "ATEN_CPU_CAPABILITY=default" in one.message
    assert one.fix == "unset ATEN_CPU_CAPABILITY"


@needs_avx2
def test_int8_on_a_cap_without_vnni(openvino: Job) -> None:
    found = by_name(inspected(openvino, {"ONEDNN_MAX_CPU_ISA": "SSE41"}))
    assert found["instruction-set-capped"].fix == "unset ONEDNN_MAX_CPU_ISA"
    one = found["int8-without-vnni"]
    assert "VNNI" in one.message and one.fix


def test_too_many_threads_and_an_operator_that_the_provider_lacks(
    onnxruntime: Job, folder: Path
) -> None:
    providers = pytest.importorskip("onnxruntime").get_available_providers()
    cell = msgspec.structs.replace(onnxruntime.cell, threads=CORES + 2)
    runtime = f"{folder}/elsewhere.py:Elsewhere"
    found = by_name(inspected(msgspec.structs.replace(onnxruntime, cell=cell, runtime=runtime)))
    many = found["too-many-threads"]
    assert f"{CORES + 2} threads" in many.message and f"threads = {CORES}" in many.fix
    if len(providers) > 1:
        one = found["onnxruntime-other-provider"]
        assert f"0 of 7 nodes run there, 7 on {providers[-1]}" in one.message
        assert "operator" in one.fix


@needs_avx2
def test_slow_kernels_under_numpy_a_variable_that_takes_cores_and_a_preload_that_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torn = tmp_path / "libtorn.so.1"
    torn.write_bytes(b"this is no library" * 100)
    plain(monkeypatch)
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("LD_PRELOAD", str(torn))
    evidence = plain_evidence()
    assert isinstance(evidence, Evidence)
    found = {one.name: one for one in evidence.findings}
    assert "LD_PRELOAD names libtorn.so.1" in found["preload-ignored"].message
    blas = [one.value for one in evidence.items if one.about == "blas"]
    if not any("kernels" in one for one in blas):
        pytest.skip("this NumPy has no OpenBLAS that tells its kernels")
    slow = found["numpy-slow-blas"]
    assert slow.severity == "fault" and slow.fix == "unset OPENBLAS_CORETYPE"
    if CORES > 1:
        assert "unset OPENBLAS_NUM_THREADS" in found["too-few-threads"].fix


def test_a_missing_shared_library(openvino: Job, tmp_path: Path) -> None:
    package = tmp_path / "openvino"
    package.mkdir()
    (package / "__init__.py").write_text("import ctypes\nctypes.CDLL('libtbb.so.97')\n")
    line = inspected(
        openvino, {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    )
    assert line.status == "unavailable" and line.error is not None
    assert "libtbb.so.97 is missing" in line.error.message
    one = by_name(line)["missing-library"]
    assert one.about == "openvino" and "libtbb" in one.fix


def test_nothing_is_wrong_where_nothing_is_set(
    pytorch: Job, openvino: Job, onnxruntime: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in (pytorch, openvino, onnxruntime):
        line = inspected(job)
        assert line.evidence is not None, line.error
        true = {"mkl-slow-path", "power-saving-governor"}  # of some processors
        if not {"avx512_vnni", "avx_vnni"}.intersection(FLAGS):
            true.add("int8-without-vnni")
        assert [one for one in line.evidence.findings if one.name not in true] == []
    plain(monkeypatch)
    # Of a container's quota NumPy knows nothing, which would be a fault.
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", str(CORES))
    evidence = plain_evidence()
    assert isinstance(evidence, Evidence)
    faults = [one for one in evidence.findings if one.severity == "fault"]
    assert [one for one in faults if one.name != "power-saving-governor"] == []

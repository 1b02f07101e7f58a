"""What is loaded is read from the process itself."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import Any

import pytest

from perfsuite.domain.record import EvidenceItem
from perfsuite.errors import ConfigError
from perfsuite.libraries import library as library_module
from perfsuite.libraries import table
from perfsuite.libraries.library import Library
from perfsuite.libraries.mapped import shared_objects
from perfsuite.libraries.table import LIBRARIES, loaded

MAPS = """\
55d0-55d1 r--p 00000000 08:01 1234      /usr/bin/python3.11
7f00-7f01 r-xp 00000000 08:01 1235      /opt/some place/libopenblas64_-0a1b.so
7f01-7f02 r--p 00001000 08:01 1235      /opt/some place/libopenblas64_-0a1b.so
7f02-7f03 rw-p 00000000 00:00 0
7f03-7f04 r-xp 00000000 08:01 1236      /lib/libgomp.so.1.0.0 (deleted)
7f04-7f05 r--p 00000000 08:01 1237      /lib/libc.so.6
7ffc-7ffd rw-p 00000000 00:00 0         [stack]
"""


def test_shared_objects_are_named_once_without_their_folders() -> None:
    assert shared_objects(MAPS) == ("libc.so.6", "libgomp.so.1.0.0", "libopenblas64_-0a1b.so")


@pytest.mark.parametrize(
    ("library", "name", "file"),
    [
        ("openblas", "OpenBLAS", "libscipy_openblas64_-32a4b2a6.so"),
        ("openmp", "OpenMP", "libgomp.so.1"),
        ("openmp", "OpenMP", "libiomp5.so"),
        ("mkl", "MKL", "libmkl_rt.so.2"),
        ("onednn", "oneDNN", "libdnnl.so.3"),
        ("onnxruntime", "ONNX Runtime", "onnxruntime_pybind11_state.cpython-311.so"),
        ("openvino", "OpenVINO", "libopenvino.so.2541"),
        ("pytorch", "PyTorch", "libtorch_cpu.so"),
        ("tbb", "oneTBB", "libtbb.so.12"),
        ("cudnn", "cuDNN", "libcudnn.so.9"),
        ("cublas", "cuBLAS", "libcublasLt.so.13"),
        ("tensorrt", "TensorRT", "libnvinfer.so.10"),
        ("blis", "BLIS", "libblis.so.4"),
        ("mlas", "MLAS", "libmlas.so.1"),
    ],
)
def test_each_library_knows_its_files_and_no_others(library: str, name: str, file: str) -> None:
    wanted = EvidenceItem("observed", "library", name, file)
    assert wanted in list(LIBRARIES[library](["libc.so.6", file]))
    for other, find in LIBRARIES.items():
        if other != library:
            assert wanted.value not in [item.value for item in find([file])]


def test_onednn_inside_openvino_is_inferred_only() -> None:
    items = list(LIBRARIES["onednn"](["libopenvino_intel_cpu_plugin.so"]))
    assert EvidenceItem("inferred", "library", "oneDNN", "inside OpenVINO's CPU plug-in") in items


def test_mlas_has_no_file_and_no_version_of_its_own_inside_onnx_runtime(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(__version__="1.32.0-9-abc"))
    items = list(LIBRARIES["mlas"](["onnxruntime_pybind11_state.cpython-311.so"]))
    assert items == [
        EvidenceItem("inferred", "library", "MLAS", "inside ONNX Runtime"),
        EvidenceItem("reported", "version", "MLAS", "inside ONNX Runtime 1.32.0"),
    ]


@pytest.mark.parametrize(
    ("file", "level"),
    [
        ("libmkl_avx512.so.2", "AVX-512"),
        ("libmkl_avx2.so.2", "AVX2"),
        ("libmkl_def.so.2", "baseline"),
    ],
)
def test_the_file_that_mkl_loads_for_a_processor_tells_its_instruction_set(
    file: str, level: str
) -> None:
    wanted = EvidenceItem("observed", "instruction set", "MKL", level)
    assert wanted in list(LIBRARIES["mkl"](["libmkl_core.so.2", file]))


@pytest.mark.parametrize(
    ("text", "level"), [("AVX512", "AVX-512"), ("AVX2", "AVX2"), ("NO AVX", "baseline")]
)
def test_what_pytorch_says_of_its_kernels_is_told_in_peoples_words(
    monkeypatch: pytest.MonkeyPatch, text: str, level: str
) -> None:
    monkeypatch.setattr(library_module, "torch_build", lambda: f"- CPU capability usage: {text}\n")
    items = list(LIBRARIES["pytorch"](["libtorch_cpu.so"]))
    assert EvidenceItem("reported", "instruction set", "PyTorch", level) in items


def test_what_pytorch_is_built_with_is_there_without_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = "  - Intel(R) MKL-DNN v3.12.0 (Git Hash 80afa71)\n"
    monkeypatch.setattr(library_module, "torch_build", lambda: build)
    assert list(LIBRARIES["onednn"](["libtorch_cpu.so"])) == [
        EvidenceItem("reported", "library", "oneDNN", "inside PyTorch"),
        EvidenceItem("reported", "version", "oneDNN", "3.12.0 inside PyTorch"),
    ]


def test_the_version_is_that_of_the_first_package_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(package: str) -> str:
        if package != "there":
            raise PackageNotFoundError(package)
        return "9.1"

    monkeypatch.setattr("perfsuite.libraries.mapped.version", version)
    find = Library("Mine", r"libmine\.", packages=("absent", "there", "there"))
    assert list(find(["libmine.so"])) == [
        EvidenceItem("observed", "library", "Mine", "libmine.so"),
        EvidenceItem("reported", "version", "Mine", "9.1"),
    ]
    assert list(find(["libother.so"])) == []


def loaded_after(statement: str) -> str:
    program = f"{statement}\nfrom perfsuite.libraries.table import loaded\n"
    program += "import sys\nprint(loaded(), 'torch' in sys.modules)"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_a_library_is_seen_once_it_is_loaded_and_not_before() -> None:
    before, after = loaded_after(""), loaded_after("import onnxruntime")
    assert "onnxruntime_pybind11_state" not in before
    assert "onnxruntime_pybind11_state" in after
    assert before.rstrip().endswith("False") and after.rstrip().endswith("False")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_numpys_blas_is_seen_with_its_threads_and_no_path() -> None:
    items = loaded()
    assert items, "NumPy itself is loaded"
    assert all("/" not in item.value for item in items if item.how == "observed")
    assert {item.about for item in items} >= {"library", "threads"}


class Point:
    """An installed package's entry point."""

    name, value = "mine", "my_package:find"

    def __init__(self, find: Any) -> None:
        self.find = find

    def load(self) -> Any:
        return self.find


def install(patch: pytest.MonkeyPatch, find: Any) -> None:
    points = {"perfsuite.libraries": [Point(find)]}
    patch.setattr(table, "entry_points", lambda group: points[group])


def test_a_library_that_a_package_brings_is_looked_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Library("Mine", r"libc\.so"))
    monkeypatch.setattr(table, "shared_objects", lambda: ("libc.so.6",))
    assert loaded()[-1] == EvidenceItem("observed", "library", "Mine", "libc.so.6")


def fails(objects: Any) -> Any:
    raise KeyError("no idea")


@pytest.mark.parametrize(
    ("find", "message"),
    [(lambda _: ["libc"], "must yield perfsuite.EvidenceItems"), (fails, "failed.*no idea")],
)
def test_one_that_finds_something_else_is_named(
    monkeypatch: pytest.MonkeyPatch, find: Any, message: str
) -> None:
    install(monkeypatch, find)
    with pytest.raises(ConfigError, match=f"library 'mine'.*{message}"):
        loaded()

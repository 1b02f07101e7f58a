"""Shared objects that are missing, of another architecture, or too old."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest

from perfsuite.errors import BuildError, raised_from
from perfsuite.libraries.faults.missing import missing_in

OPEN = "cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("said", "what", "fix"),
    [
        (f"libgomp.so.1: {OPEN}", "libgomp.so.1 is missing", "apt install libgomp1"),
        (f"libcudnn.so.9: {OPEN}", "libcudnn.so.9 is missing", "nvidia-cudnn-cu13"),
        (f"libodd.so.7: {OPEN}", "libodd.so.7 is missing", "apt-file search libodd.so.7"),
        ("/opt/x/libtbb.so.12: wrong ELF class: ELFCLASS32", "libtbb.so.12 is damaged", "tbb"),
        ("/x/libc10.so: cannot read file data", "libc10.so is damaged", "torch"),
        ("/x/libz.so.1: ELF file data encoding not little-endian", "libz.so.1 is", "zlib1g"),
        ("/x/libz.so.1: only ET_DYN and ET_EXEC can be loaded", "libz.so.1 is", "zlib1g"),
        (
            "/x/_state.cpython-311-x86_64-linux-gnu.so: invalid ELF header",
            "_state.cpython-311-x86_64-linux-gnu.so is damaged",
            "pip install --force-reinstall openvino",
        ),
        (
            "/x/libtbb.so.12: cannot open shared object file: Permission denied",
            "libtbb.so.12 cannot be opened: Permission denied",
            "chmod",
        ),
        (
            "/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by x)",
            "GLIBCXX_3.4.32",
            "newer system",
        ),
        (
            "/a/libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent",
            "iJIT_NotifyEvent",
            "fresh virtual environment",
        ),
    ],
)
def test_the_object_and_its_package_are_named(said: str, what: str, fix: str) -> None:
    found = missing_in(ImportError(said), "openvino")
    assert found is not None
    assert (found.name, found.about, found.severity) == ("missing-library", "openvino", "fault")
    assert what in found.message and fix in found.fix


def test_an_error_that_it_was_raised_from_counts_and_the_package_that_loads_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_engine.py").write_text("import ctypes\nctypes.CDLL('libodd_engine.so.7')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BuildError) as raised:
        try:
            import odd_engine  # type: ignore[import-not-found]  # noqa: F401
        except OSError as error:
            raise BuildError("the graph cannot be opened") from error
    found = missing_in(raised.value, "openvino")
    assert found is not None and found.about == "odd_engine"
    assert "libodd_engine.so.7 is missing" in found.message


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the loader's words are Linux's")
def test_an_error_that_was_raised_from_itself_ends() -> None:
    error = ValueError("odd")
    error.__cause__ = error
    assert missing_in(error, "engine") is None
    other = ValueError("two that were raised from each other")
    error.__cause__, other.__cause__ = other, error
    assert list(raised_from(error)) == [error, other]


def test_the_loaders_own_words_are_understood(tmp_path: Path) -> None:
    wrong = tmp_path / "libwrong.so.1"
    wrong.write_bytes(b"this is no library" * 100)
    with pytest.raises(OSError) as raised:
        ctypes.CDLL(str(wrong))
    found = missing_in(raised.value, "openvino")
    assert found is not None and "libwrong.so.1 is damaged" in found.message


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the loader's words are Linux's")
def test_a_file_of_another_architecture_is_not_called_missing(tmp_path: Path) -> None:
    """The loader says that there is no such file."""
    other = tmp_path / "libother.so.1"
    data = bytearray(Path("/proc/self/exe").read_bytes())
    data[18:20] = (243).to_bytes(2, sys.byteorder)  # EM_RISCV
    other.write_bytes(data)
    with pytest.raises(OSError, match="No such file") as raised:
        ctypes.CDLL(str(other))
    found = missing_in(raised.value, "openvino")
    assert found is not None
    assert "libother.so.1 is damaged or of another architecture" in found.message


@pytest.mark.parametrize(
    "error",
    [ImportError("No module named 'openvino'"), ValueError(OPEN), OSError("disk full")],
)
def test_other_errors_are_none(error: Exception) -> None:
    assert missing_in(error, "openvino") is None

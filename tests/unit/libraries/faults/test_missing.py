"""Shared objects that are missing, of another architecture, or too old."""

from __future__ import annotations

import pytest
from made_up_facts import found, item

OPEN = "cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    ("said", "what", "fix"),
    [
        (f"libgomp.so.1: {OPEN}", "libgomp.so.1 is missing", "apt install libgomp1"),
        (f"libcudnn.so.9: {OPEN}", "libcudnn.so.9 is missing", "nvidia-cudnn-cu13"),
        (f"libodd.so.7: {OPEN}", "libodd.so.7 is missing", "apt-file search libodd.so.7"),
        ("/opt/x/libtbb.so.12: wrong ELF class: ELFCLASS32", "libtbb.so.12 is damaged", "tbb"),
        ("/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by x)",
         "GLIBCXX_3.4.32", "newer system"),
        ("/a/libtorch_cpu.so: undefined symbol: iJIT_NotifyEvent", "iJIT_NotifyEvent",
         "fresh virtual environment"),
    ],
)  # fmt: skip
def test_the_object_and_its_package_are_named(said: str, what: str, fix: str) -> None:
    one = found(item("import", "openvino", said))["missing-library"]
    assert (one.about, one.severity) == ("openvino", "fault")
    assert what in one.message and fix in one.fix


def test_an_import_that_fails_otherwise_is_no_missing_library() -> None:
    assert found(item("import", "openvino", "No module named 'openvino'")) == {}

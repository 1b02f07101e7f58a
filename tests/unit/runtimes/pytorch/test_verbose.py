"""What is written to the standard output meanwhile is caught, sorted, and nothing of it is lost."""

from __future__ import annotations

import ctypes
import os

import pytest

from perfsuite.runtimes.pytorch import verbose
from perfsuite.runtimes.pytorch.verbose import Heard, heard

MULTIPLIES = "MKL_VERBOSE SGEMM(N,N,1,1,1)"


@pytest.fixture(autouse=True)
def nobody_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import backends

    monkeypatch.setattr(backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(backends.mkl, "is_available", lambda: False)


def c_prints(text: str) -> None:
    ctypes.CDLL(None).printf(b"%s", text.encode())  # C's buffer, which nobody flushes here


def test_lines_are_put_behind_the_mark_that_came_before_them(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with heard() as (found, mark):
        c_prints("onednn_verbose,v1,info\n")
        mark(0)
        c_prints(f"{MULTIPLIES}\n")
        print("said by the model")
        mark(1)
        os.write(1, b"dnnl_verbose,exec\n\xff no text\n")
        mark(7)
    assert found == Heard(
        [(-1, "onednn_verbose,v1,info"), (0, MULTIPLIES), (1, "dnnl_verbose,exec")], []
    )
    print("after")
    os.write(1, b"and later\n")
    out = capfd.readouterr().out
    assert "verbose" not in out and "mark" not in out
    assert "said by the model\n" in out and "no text\n" in out and "and later\n" in out


def test_an_error_inside_gives_the_output_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), heard():
        os.write(1, b"before it\n")
        raise KeyError("inside")
    os.write(1, b"still there\n")
    assert capfd.readouterr().out == "before it\nstill there\n"


def test_only_what_is_there_and_can_be_switched_on_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import backends

    def refuses(level: int) -> object:
        raise AssertionError("Failed to set MKLDNN into verbose mode.")

    monkeypatch.setattr(backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(backends.mkldnn, "verbose", refuses)
    with heard() as (found, _):
        pass
    assert found.speaking == []


def test_mkl_that_writes_into_a_file_of_the_users_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch import backends

    monkeypatch.setattr(backends.mkl, "is_available", lambda: True)
    monkeypatch.setenv(verbose._ELSEWHERE, "mkl.log")
    with heard() as (found, _):
        pass
    assert found.speaking == []

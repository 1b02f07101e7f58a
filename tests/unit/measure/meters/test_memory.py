"""The kernel's high-water mark, from fixture files and from this process."""

from __future__ import annotations

import mmap
import platform
from pathlib import Path

import pytest

from perfsuite.errors import Unavailable
from perfsuite.measure.meters.memory import peak_bytes, reset_peak

STATUS = "Name:\tpython\nVmPeak:\t  900000 kB\nVmHWM:\t  {peak} kB\nVmRSS:\t   20000 kB\n"


def status(folder: Path, peak: int) -> Path:
    path = folder / "status"
    path.write_text(STATUS.format(peak=peak))
    return path


def test_fields_are_bytes(tmp_path: Path) -> None:
    path = status(tmp_path, 30000)
    assert peak_bytes(status=path) == 30000 * 1024


def test_reset_writes_five(tmp_path: Path) -> None:
    refs = tmp_path / "clear_refs"
    reset_peak(status=status(tmp_path, 20100), clear_refs=refs)
    assert refs.read_text() == "5"


def test_a_reset_that_was_ignored_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="ignores it"):
        reset_peak(status=status(tmp_path, 90000), clear_refs=tmp_path / "clear_refs")


def test_another_system(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="needs Linux"):
        peak_bytes(status=tmp_path / "missing")
    with pytest.raises(Unavailable, match="needs Linux"):
        reset_peak(clear_refs=tmp_path / "missing" / "clear_refs")


def test_a_kernel_without_the_field(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_text("Name:\tpython\nVmRSS:\t 20000 kB\n")
    with pytest.raises(Unavailable, match="no VmHWM"):
        peak_bytes(status=path)


@pytest.mark.skipif(platform.system() != "Linux", reason="the high-water mark is Linux's")
def test_this_process() -> None:
    try:
        reset_peak()
    except Unavailable as reason:
        pytest.skip(str(reason))
    before = peak_bytes()
    block = mmap.mmap(-1, 100_000_000)  # not from malloc, which may keep what is freed
    for page in range(0, len(block), mmap.PAGESIZE):
        block[page] = 1
    grown = peak_bytes()
    block.close()
    assert grown - before > 90e6
    assert peak_bytes() >= grown - 1e6  # the mark stays
    reset_peak()
    assert peak_bytes() < grown - 50e6  # and comes down

"""The kernel's high-water mark, from fixture files and from this process."""

from __future__ import annotations

import mmap
import platform
from pathlib import Path

import pytest

from perfsuite.errors import Unavailable
from perfsuite.measure.meters import memory
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


def test_messages_name_the_file_and_the_way_out(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(Unavailable) as caught:
        peak_bytes(status=missing)
    assert str(caught.value) == (
        f"memory cannot be measured: reading {missing} failed (No such file or directory); "
        "it needs Linux with /proc mounted"
    )
    with pytest.raises(Unavailable) as caught:
        reset_peak(clear_refs=missing / "clear_refs")
    assert str(caught.value) == (
        f"the peak of memory cannot be reset: writing {missing}/clear_refs failed (No such file or "
        "directory); it needs Linux with /proc mounted writable"
    )
    path, refs = status(tmp_path, 90000), tmp_path / "refs"
    with pytest.raises(Unavailable) as caught:
        reset_peak(status=path, clear_refs=refs)
    assert str(caught.value) == (
        f"the peak of memory cannot be reset: {refs} was written, but {path} still says "
        f"{90000 * 1024} bytes with {20000 * 1024} resident; this kernel or sandbox ignores it"
    )


def test_a_peak_just_above_what_is_resident_is_a_reset(tmp_path: Path) -> None:
    slack = 32 * 1024  # kB, of pages that are counted late
    reset_peak(status=status(tmp_path, 20000 + slack), clear_refs=tmp_path / "refs")
    with pytest.raises(Unavailable):
        reset_peak(status=status(tmp_path, 20001 + slack), clear_refs=tmp_path / "refs")


class Kernel:
    """A process whose memory is told by hand."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.resident = self.peak = 0
        self.resets = 0
        patch.setattr(memory, "reset_peak", self.reset)
        patch.setattr(memory, "peak_bytes", lambda: self.peak)

    def take(self, bytes_: int) -> None:
        self.resident += bytes_
        self.peak = max(self.peak, self.resident)

    def reset(self) -> None:
        self.resets += 1
        self.peak = self.resident


def test_each_phase_has_its_own_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, meter = Kernel(monkeypatch), memory.Memory()
    kernel.take(500)
    kernel.take(-400)  # what the process did before is not charged to loading
    meter.start("load", "cpu")
    kernel.take(200)
    kernel.take(-150)
    assert meter.stop("load", 0) == {"load_peak_bytes": 300.0}
    kernel.take(100)  # between the phases, as in warm-up
    kernel.take(-50)
    meter.start("calls", "cpu")
    kernel.take(20)
    assert meter.stop("calls", 7) == {"run_peak_bytes": 250.0}
    assert kernel.resets == 2  # never between warm-up and the calls


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

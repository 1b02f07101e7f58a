"""What cannot be seen is told in a word, and never ends the look at the rest."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from perfsuite.domain.record import EvidenceItem
from perfsuite.libraries import mapped
from perfsuite.libraries.mapped import (
    not_preloaded,
    not_seen,
    pools,
    shared_objects,
    thread_pools,
)
from perfsuite.libraries.table import loaded


def fail(*_: object) -> Any:
    raise OSError("/opt/place/lib/libgomp.so.1: wrong ELF class: ELFCLASS32")


def test_without_maps_the_rest_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mapped, "_MAPS", tmp_path / "maps")
    monkeypatch.setattr(sys, "platform", "linux")
    assert shared_objects() == ()
    (item,) = not_seen()
    assert (item.about, item.name) == ("libraries", "none")
    assert "cannot be read" in item.value
    assert item in loaded()


def test_on_other_systems_there_are_none_to_miss(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mapped, "_MAPS", tmp_path / "maps")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert list(not_seen()) == []


def test_a_file_that_threadpoolctl_cannot_open_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("threadpoolctl.threadpool_info", fail)
    assert pools() == []
    assert list(thread_pools("OpenMP", "openmp")) == []
    (item,) = [one for one in not_seen() if one.about == "thread pools"]
    assert item.value.endswith(": OSError: libgomp.so.1: wrong ELF class: ELFCLASS32")
    assert item in loaded()


@pytest.mark.parametrize(
    ("core", "level"), [("SkylakeX", "AVX-512"), ("Haswell", "AVX2"), ("Nehalem", "baseline")]
)
def test_the_core_of_openblas_tells_its_instruction_set(
    monkeypatch: pytest.MonkeyPatch, core: str, level: str
) -> None:
    pool = {"internal_api": "openblas", "version": "0.3", "num_threads": 2, "architecture": core}
    monkeypatch.setattr(mapped, "pools", lambda: [pool])
    assert list(thread_pools("OpenBLAS", "openblas")) == [
        EvidenceItem("reported", "version", "OpenBLAS", "0.3"),
        EvidenceItem("reported", "threads", "OpenBLAS", "2"),
        EvidenceItem("reported", "instruction set", "OpenBLAS", level),
    ]


def test_an_unknown_core_tells_none(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = {"internal_api": "openmp", "num_threads": 2, "version": None}
    monkeypatch.setattr(mapped, "pools", lambda: [pool, pool | {"architecture": "of the future"}])
    assert {item.about for item in thread_pools("OpenMP", "openmp")} == {"threads"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD is Linux's")
def test_what_ld_preload_names_is_loaded_or_told(tmp_path: Path) -> None:
    (tmp_path / "libtorn.so.1").write_bytes(b"this is no library" * 100)
    maps = Path("/proc/self/maps").read_text().splitlines()
    there = next(line.split()[-1] for line in maps if "/libc.so" in line)
    asked = f"{there} libc.so.6:{tmp_path}/libtorn.so.1 /no/such/libmissing.so"
    found = [(one.about, one.name, one.value) for one in not_preloaded(asked)]
    assert found == [
        ("preload", "libtorn.so.1", "not loaded"),
        ("preload", "libmissing.so", "not loaded"),
    ]
    assert list(not_preloaded("")) == []

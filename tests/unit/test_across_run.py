"""INT8 of a net whose sums overflow: what it loses elsewhere, and its portable form does not."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnx
import overflowing_net
import pytest
from overflowing_net import project

from perfsuite import across_run, judged_run
from perfsuite.across_run import across
from perfsuite.config import across_suite as module
from perfsuite.config.across_suite import LEAST
from perfsuite.domain.across import Across
from perfsuite.domain.cell import Cell
from perfsuite.errors import ConfigError, PerfsuiteError, Unsupported
from perfsuite.judge.across import elsewhere
from perfsuite.judge.findings import found_in
from perfsuite.libraries import places
from perfsuite.processor import read_processor
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.jobs.overflow import _convolution
from perfsuite.runner.paces import Pace

pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

NAME = "int8-loses-elsewhere"
VNNI = ("avx2", "avx512f", "avx512_vnni")
SUPPORT = str(Path(overflowing_net.__file__).parent)
HAS_VNNI = bool({"avx512_vnni", "avx_vnni"} & set(read_processor().features))


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no emulator
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SUPPORT, os.environ.get("PYTHONPATH", "")]))
    # Nothing is measured or inspected: only what is answered counts here.
    monkeypatch.setattr(module, "PROCESSES", 0)
    monkeypatch.setattr(judged_run, "work_off", partial(judged_run.work_off, inspect=False))
    return project(tmp_path)


@pytest.mark.skipif(not HAS_VNNI, reason="on a processor without VNNI weights have 7 bits anyway")
def test_the_native_form_loses_elsewhere_and_the_portable_one_does_not(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "CAPPED", ("onednn-avx2",))
    said: list[str] = []
    run = tmp_path / "run"
    found = across(
        reference, run, runtimes=["openvino"], threads=1, minutes=0.05, say=said.append
    ).run
    by_cell = {one.cell: one for one in elsewhere(found)}
    native = by_cell["net/int8/openvino/cpu/b1/onednn-avx2"]
    portable = by_cell["net/int8-portable/openvino/cpu/b1/onednn-avx2"]
    assert native.loses and native.there is not None and native.there < 0.5, native
    assert portable.lost is not None and portable.lost.value == 0.0, portable
    assert native.samples == portable.samples >= LEAST
    assert [one.cells for one in found_in(found) if one.finding.name == NAME] == [
        ("net/int8/openvino/cpu/b1",)
    ]
    assert len(said) == 1 and "AVX2 (oneDNN capped)" in said[0]


@pytest.mark.skipif(HAS_VNNI, reason="on a processor with VNNI there are others to try")
def test_without_vnni_here_nothing_is_lost_elsewhere(reference: str, tmp_path: Path) -> None:
    found = across(reference, tmp_path / "run", runtimes=["openvino"], threads=1)
    assert elsewhere(found.run) == ()
    document = json.loads(found.report("json"))
    assert {row["accuracy"] for row in document["rows"]} != {None}


def test_what_computes_no_bytes_is_refused(reference: str) -> None:
    with pytest.raises(ConfigError, match="does not compute in 8 bits"):
        across(reference, recipe="fp32", runtimes=["onnxruntime"])


def test_what_no_samples_judge_is_refused(reference: str, tmp_path: Path) -> None:
    onnx.save(_convolution(), tmp_path / "int8.onnx")
    with pytest.raises(Unsupported, match="no samples judge it"):
        across(str(tmp_path / "int8.onnx"), recipe="fp32", runtimes=["onnxruntime"])


class Asking:
    """Stands in for the processes that are asked how long a sample takes."""

    def __init__(self, patch: pytest.MonkeyPatch, **seconds: float | PerfsuiteError) -> None:
        self.seconds = seconds
        patch.setattr(across_run, "read_processor", lambda: replace(read_processor(), flags=VNNI))
        patch.setattr(across_run, "prepared", lambda suite, cell: first_job(suite, cell))
        patch.setattr(across_run, "pace", self.pace)

    def pace(self, job: Job, there: Cell) -> Pace:
        found = self.seconds[there.runtime]
        if isinstance(found, PerfsuiteError):
            raise found
        return Pace(0.001, found)

    def fitted(self, reference: str) -> tuple[Across, list[str], list[str]]:
        """Return what is asked, the cells that are tried, and what was said."""
        said: list[str] = []
        suite = module.across_suite(reference, threads=1)
        suite, cells = across_run._fitted(suite, module.cells_across(suite, VNNI), 1.0, said.append)
        assert suite.across is not None
        return suite.across, [cell.key for cell in cells if cell.switch], said


def test_without_an_emulator_the_others_are_tried_and_how_to_get_it_is_said(
    reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, tried, said = Asking(monkeypatch, openvino=0.002).fitted(reference)
    assert asked.samples == {"openvino": 5000}  # both forms and caps in 60 s, 8 ms a sample
    assert len(tried) == 4 and not any("onnxruntime" in key for key in tried)
    assert {one.cell.runtime for one in asked.not_tried} == {"onnxruntime"}
    assert len(asked.not_tried) == 2
    assert all("apt-get install qemu-user" in one.reason for one in asked.not_tried)
    assert "at most 5,000 samples fit" in said[0]


def test_what_is_too_slow_or_crashes_there_is_left_out_with_the_reason(
    reference: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "qemu-x86_64").write_text("#!/bin/sh\n")
    (tmp_path / "qemu-x86_64").chmod(0o755)
    crash = PerfsuiteError("the worker died by SIGILL")
    asked, tried, said = Asking(monkeypatch, openvino=crash, onnxruntime=9.0).fitted(reference)
    assert tried == [] and asked.samples == {}
    reasons = {one.cell.runtime: one.reason for one in asked.not_tried}
    assert len(asked.not_tried) == 6
    assert reasons["openvino"] == "the worker died by SIGILL"
    assert "takes 9 s there, so that fewer than 20 fit into 1 minutes" in reasons["onnxruntime"]
    assert "9e+03x the time" not in said[0] and "too few samples fit" in said[0]

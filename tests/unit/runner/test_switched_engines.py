"""Switches in processes of real engines: what ran is other than without them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from onnx_net import save, weights

from perfsuite.config.ablation_suite import ablation_suite
from perfsuite.config.expansion import cells as cells_of
from perfsuite.domain.record import Evidence
from perfsuite.libraries.acted import acted
from perfsuite.libraries.switches import SWITCHES
from perfsuite.processor import read_processor
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.process import run_job_in_process
from perfsuite.store.cache import Cache

FLAGS = read_processor().flags

NET = """
import torch
from torch import nn

from perfsuite import Model, Task, Workload


class Pictures(Task):
    def inputs(self, batch, seed):
        import numpy as np

        return {"x": np.random.default_rng(seed).normal(size=(batch, 3, 8, 8)).astype("f4")}


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)).eval()


net = Workload("net", Model(build), Pictures())
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def inspected(jobs: list[Job]) -> list[Evidence]:
    """Return the evidence of the cells of these jobs, each of a process of its own."""
    made = run_job_in_process(jobs[0])
    assert made.status == "ok", made.error
    folder = Cache().get("artifact", made.artifact)
    found = []
    for job in jobs:
        line = run_job_in_process(
            msgspec.structs.replace(job, kind="inspect", artifact=str(folder))
        )
        assert line.status == "ok" and line.evidence is not None, line.error
        found.append(line.evidence)
    return found


def jobs_of(workload: str, runtime: str, *switches: str) -> list[Job]:
    suite = ablation_suite(workload, [runtime], flags=FLAGS, threads=2, switches=switches)
    return [first_job(suite, cell) for cell in cells_of(suite)]


@pytest.mark.skipif("avx2" not in FLAGS, reason="a processor without AVX2")
def test_a_cap_is_seen_in_the_kernels_of_openvino(tmp_path: Path) -> None:
    save(tmp_path / "net.onnx", weights())
    whole, capped = inspected(jobs_of("net.onnx", "openvino", "onednn-sse41"))
    found = acted(SWITCHES["onednn-sse41"], whole, capped)
    assert found.seen and "AVX" in found.before and "AVX" not in found.after


def test_graph_optimizations_are_off_in_onnxruntime(tmp_path: Path) -> None:
    save(tmp_path / "net.onnx", weights())
    whole, plain = inspected(jobs_of("net.onnx", "onnxruntime", "unoptimized"))
    found = acted(SWITCHES["unoptimized"], whole, plain)
    assert found.seen and "Relu" in found.after


@pytest.mark.verify  # three processes with torch take 20 s
def test_what_pytorch_is_told_is_told_before_the_net_runs(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    jobs = jobs_of("net.py:net", "pytorch", "onednn-off", "channels-last")
    whole, off, last = inspected(jobs)
    settings = [
        {item.name: item.value for item in one.items if item.about == "setting"}
        for one in (whole, off)
    ]
    assert [one["mkldnn.enabled"] for one in settings] == ["on", "off"]
    assert acted(SWITCHES["channels-last"], whole, last).seen

"""What a plan says will be unsupported is what a run then finds; what it can do is not refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx_net import save, weights

from perfsuite import api
from perfsuite.config.loading import load_suite
from perfsuite.config.refusals import refusals
from perfsuite.runner.job import first_job
from perfsuite.runner.worker import run_job

SUITE = """
workloads = ["net.onnx", "vgg-digits"]
runtimes  = ["onnxruntime", "pytorch", "fake"]
precision = ["fp32", "bf16"]
threads   = 1

[[recipes]]
name   = "student"
passes = [{ use = "distill", student = "vgg-narrow" }]

[[recipes]]
name   = "int8"
passes = [{ use = "int8" }]
"""
EXPECT = '[[expect]]\nstatus = "unsupported"\nreason = "why"\nrecipe = "student"\n'


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    save(tmp_path / "net.onnx", weights())
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)
    return path


def test_only_what_no_machine_can_do_is_refused(suite: Path) -> None:
    resolved, cells, _ = load_suite(suite)
    found = refusals(resolved, cells)
    fine = [cell.key for cell in cells if cell.key not in found]
    assert fine == [
        "net/fp32/onnxruntime/cpu/b1",
        "net/fp32/fake/cpu/b1",
        "net/fp32/fake/cpu/b1/bf16",
        "net/int8/onnxruntime/cpu/b1",
        "net/int8/fake/cpu/b1",
        "net/int8/fake/cpu/b1/bf16",
        "vgg-digits/fp32/onnxruntime/cpu/b1",
        "vgg-digits/fp32/pytorch/cpu/b1",
        "vgg-digits/fp32/pytorch/cpu/b1/bf16",
        "vgg-digits/fp32/fake/cpu/b1",
        "vgg-digits/fp32/fake/cpu/b1/bf16",
        "vgg-digits/student/onnxruntime/cpu/b1",
        "vgg-digits/student/pytorch/cpu/b1",
        "vgg-digits/student/pytorch/cpu/b1/bf16",
        "vgg-digits/student/fake/cpu/b1",
        "vgg-digits/student/fake/cpu/b1/bf16",
        "vgg-digits/int8/onnxruntime/cpu/b1",
        "vgg-digits/int8/fake/cpu/b1",
        "vgg-digits/int8/fake/cpu/b1/bf16",
    ]


def test_a_run_says_the_same(suite: Path) -> None:
    resolved, cells, _ = load_suite(suite)
    found = refusals(resolved, cells)
    for key in (
        "net/student/onnxruntime/cpu/b1",
        "net/student/fake/cpu/b1",
        "net/fp32/pytorch/cpu/b1",
        "net/int8/pytorch/cpu/b1",
        "net/fp32/onnxruntime/cpu/b1/bf16",
    ):
        (cell,) = (one for one in cells if one.key == key)
        line = run_job(first_job(resolved, cell))
        assert line.status == "unsupported"
        assert line.error is not None and line.error.message == found[key]


def test_a_plan_promises_no_training_of_it(suite: Path) -> None:
    found = api.plan(suite, only="net/student/onnxruntime/cpu/b1")
    assert found.refused == {
        "net/student/onnxruntime/cpu/b1": "distill on net: a model pass needs the torch module, "
        "and this model is an ONNX file"
    }
    assert [job.kind for job in found.jobs] == ["prepare"]
    assert found.total_s < 10.0


def test_what_is_expected_is_not_told_again(suite: Path) -> None:
    suite.write_text(SUITE + EXPECT)
    found = api.plan(suite, only="net/student/*")
    assert found.refused == {}

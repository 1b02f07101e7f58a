"""A search for an ONNX file: what needs no torch module is tried, and the rest is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_runs import here
from onnx_net import SIDE, expected, save, weights

import perfsuite
from perfsuite.config.optimize_suite import goal_of, optimize_suite
from perfsuite.report.sentences.optimum import why_text
from perfsuite.search import ways


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(ways, "precisions", lambda: ("fp32",))
    values = weights()
    save(tmp_path / "net.onnx", values)
    x = np.random.default_rng(0).normal(size=(1100, 3, SIDE, SIDE)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", x=x, labels=expected(x, values).argmax(axis=1))
    return tmp_path


def test_int8_is_tried_and_passes_on_modules_are_not(folder: Path) -> None:
    found = perfsuite.optimize(
        "net.onnx",
        folder / "search",
        speedup=50.0,
        max_drop_points=1.0,
        runtimes=["fake"],
        threads=1,
        samples=folder / "samples.npz",
        execute=here,
    )
    assert found.exit_code == 1
    answer = found.optimum
    assert (answer.reference, answer.metric) == ("net/fp32/fake/cpu/b1", "top1")
    assert answer.best == "net/int8/fake/cpu/b1"
    best = answer.candidate(answer.best)
    assert best is not None and best.loss_points is not None and best.test is not None
    others = [one for one in answer.candidates if not one.key]
    assert {one.why for one in others} == {"lacks"}
    assert "an ONNX file" in why_text(others[0], answer.goal)
    assert answer.without == {}  # that a file cannot be trained is no fault of its samples


def test_engines_that_take_modules_are_not_asked(folder: Path) -> None:
    suite = optimize_suite("net.onnx")
    assert suite.runtimes == ("onnxruntime", "openvino")
    assert goal_of(suite, 2.0, 1.0, None, 60.0).versus == "onnxruntime/fp32"

"""What benchmarks/gpu_check.py makes of its figures, and what it says where there is no card."""

from __future__ import annotations

import importlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfsuite import api
from perfsuite.domain.profile import Breakdown, BreakdownRow
from perfsuite.errors import Unavailable
from perfsuite.runtimes.pytorch.runtime import PyTorch

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def check() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("gpu_check")


def cell(runtime: str, precision: str, latency_s: float, **more: Any) -> dict[str, Any]:
    figures = {
        "cell": f"vgg16/fp32/{runtime}/cuda/b1/{precision}",
        "runtime": runtime,
        "precision": precision,
        "status": "ok",
        "error": "",
        "labels": ["unlabelled"],
        "processes": 2,
        "latency_s": latency_s * 1.2,
        "device_latency_s": latency_s,
        "bound_latency_s": latency_s * 1.01,
        "energy_j": 0.5,
        "energy_repeats": 0.02,
        "device_peak_bytes": 1.2e9,
        "device_clock_hz": 1.98e9,
        "kernels": {f"cudnn_convolution {precision}": 13},
    }
    return {**figures, **more}


def report(**more: Any) -> dict[str, Any]:
    parts = {"rows": {"backbone": 0.008, "unattributed": 0.0001}, "waiting_s": {"backbone": 0.002}}
    breakdown = {"total_s": 0.01, "untraced_s": 0.009, "unattributed": 0.01, **parts}
    found = {
        "card": {
            "card": {"name": "NVIDIA H200"},
            "torch": "2.11",
            "CUDA": "13.0",
            "cuDNN": 91900,
            "flops_per_s": {"fp32": 51e12},
            "bytes_per_s": 4.2e12,
        },
        "contracts": [{"runtime": "pytorch", "precision": "fp32", "outcome": "pass"}],
        "ladder": [
            cell("pytorch", "fp32", 0.004),
            cell("pytorch", "tf32", 0.002),
            cell("WithoutCudnn", "fp32", 0.006),
        ],
        "detector": [cell("pytorch", "fp32", 0.009, breakdown=breakdown)],
        "seconds": 300.0,
    }
    return {**found, **more}


def test_all_is_well_where_the_figures_are(check: Any) -> None:
    found = check.findings(report())
    assert all(good for good, _ in found)
    texts = [text for _, text in found]
    assert "cuDNN is worth 1.50x in fp32" in texts
    assert "tf32 is 2.00x as fast as fp32" in texts
    assert "energy repeats within 2 % between processes, of 3 cells" in texts
    assert "host and event clock differ by 0.99 % at most, of 4 cells over 1 ms" in texts


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"energy_repeats": 0.08}, "energy repeats within 8 %"),
        ({"bound_latency_s": 0.0032}, "host and event clock differ by 25 %"),
        ({"status": "failed", "error": "boom"}, "failed: boom"),
        ({"status": "incomplete", "processes": 0}, "incomplete"),
    ],
)
def test_what_is_not_as_it_must_be_is_told(check: Any, change: dict[str, Any], words: str) -> None:
    changed = report(ladder=[cell("pytorch", "fp32", 0.004, **change)])
    bad = [text for good, text in check.findings(changed) if not good]
    assert len(bad) == 1
    assert words in bad[0]


def test_cells_that_the_time_did_not_allow_all_processes_are_still_measured(check: Any) -> None:
    short = {"status": "incomplete", "processes": 1, "energy_repeats": None}
    found = check.findings(report(ladder=[cell("pytorch", "fp32", 0.004, **short)]))
    assert all(good for good, _ in found)
    assert any("in 1 process, as the time was up" in text for _, text in found)


def test_contracts_and_stages_that_fail_are_told(check: Any) -> None:
    fails = [{"runtime": "pytorch", "precision": "fp16", "outcome": "AssertionError: no"}]
    lost = {"total_s": 0.01, "untraced_s": 0.009, "unattributed": 0.03, "rows": {}, "waiting_s": {}}
    changed = report(contracts=fails, detector=[cell("pytorch", "fp32", 0.009, breakdown=lost)])
    bad = [text for good, text in check.findings(changed) if not good]
    assert bad[0] == "pytorch in fp16: AssertionError: no"
    assert "3 % of the call is not attributed to a stage" in bad[1]


def test_an_engine_that_is_not_installed_is_told_and_no_fault(check: Any) -> None:
    gone = {
        "runtime": "onnxruntime-cuda",
        "precision": "fp32",
        "outcome": f"{check.MISSING}: pip install onnxruntime-gpu",
    }
    found = report(contracts=[*report()["contracts"], gone])
    assert all(good for good, _ in check.findings(found))
    page = check.markdown({**found, "findings": []})
    assert "| pytorch | pass |  |  |  |" in page
    assert "| onnxruntime-cuda | not installed |  |  |  |" in page


def test_a_card_without_tf32_is_not_asked_for_it(
    check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = ["tf32"]

    def require(self: PyTorch, device: str, precision: str) -> None:
        if precision in lacking:
            raise Unavailable(precision)

    monkeypatch.setattr(PyTorch, "require", require)
    assert check.offered() == ["fp32", "fp16", "bf16"]
    assert check.ladder_of(check.offered()).precision == ["fp32", "fp16", "bf16"]
    lacking.append("fp32")
    with pytest.raises(Unavailable, match="fp32"):
        check.offered()


def test_the_page_has_every_table(check: Any) -> None:
    page = check.markdown({**report(), "findings": check.findings(report())})
    assert page.startswith("## On NVIDIA H200\n")
    assert "| pytorch | tf32 | 2.4 ms | 2 ms | 500 mJ | 1.2 GB | 1.98 GHz | 13 tf32 |" in page
    assert "| backbone | 8 ms | 80.0 % | 2 ms |" in page


def test_waiting_is_summed_over_the_tree(check: Any) -> None:
    waits = BreakdownRow("body/python", "operator", 0.2)
    inner = BreakdownRow(
        "body", "module", 0.7, children=(waits, BreakdownRow("conv", "operator", 0.5))
    )
    rows = (
        BreakdownRow(
            "backbone", "stage", 0.8, children=(inner, BreakdownRow("python_1", "operator", 0.1))
        ),
        BreakdownRow("unattributed", "rest", 0.1),
    )
    found = check.stages(Breakdown(1.0, 4, rows, untraced_s=0.9))
    assert found["waiting_s"]["backbone"] == pytest.approx(0.3)
    assert found["unattributed"] == pytest.approx(0.1)


def test_what_was_not_reached_is_told_and_the_rest_stands(check: Any, tmp_path: Path) -> None:
    whole = report()
    written = check.Report(tmp_path)
    written.step("card", card=whole["card"])
    page = (tmp_path / "gpu_check.md").read_text()
    assert page.startswith("## On NVIDIA H200\n") and "| stage |" not in page
    written.step("detector", detector=whole["detector"])
    assert "| backbone | 8 ms | 80.0 % | 2 ms |" in (tmp_path / "gpu_check.md").read_text()
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    bad = [text for good, text in found["findings"] if not good]
    assert [text.partition(" in ")[0] for text in bad] == [
        "contracts was not reached",
        "ladder was not reached",
    ]


def test_time_that_is_up_ends_it_with_what_there_is(
    check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(written: Any, folder: Path) -> None:
        written.step("card", card=report()["card"])
        signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(check, "check", cut)
    try:
        assert check.main(tmp_path / "out", 100) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "| ✗ | ladder was not reached" in capsys.readouterr().out
    (tmp_path / "ladder").mkdir()
    assert check.main(tmp_path, 100) == 2
    assert "name another folder" in capsys.readouterr().err


def test_what_ran_is_shown_for_each_engine_and_precision(check: Any) -> None:
    import numpy as np
    import torch

    def net() -> Any:
        torch.manual_seed(0)
        return torch.nn.Conv2d(1, 2, 3).eval()

    before = torch.backends.cudnn.enabled
    try:
        shown = check.proof(net, {"x": np.ones((1, 1, 8, 8), np.float32)}, ("fp32",), "cpu")
    finally:
        torch.backends.cudnn.enabled = before
    told = [(one["runtime"], one["precision"], one["outcome"]) for one in shown]
    assert told == [("pytorch", "fp32", "pass"), ("WithoutCudnn", "fp32", "pass")]
    assert any("fp32" in name for name in shown[0]["kernels"])
    changed = report(proof=[{**shown[0], "outcome": "fp32 was asked for"}])
    bad = [text for good, text in check.findings(changed) if not good]
    assert bad == ["pytorch in fp32: fp32 was asked for"]


def test_without_a_card_the_suite_ends_well_with_the_reason(tmp_path: Path) -> None:
    try:
        PyTorch().require("cuda", "fp32")
    except Unavailable:
        pass
    else:
        pytest.skip("there is a card")
    eager = "faster-rcnn-resnet101/fp32/pytorch/cuda/b1"
    other = "vgg16/fp32/onnxruntime-cuda/cuda/b1"
    done = api.run(BENCHMARKS / "gpu.toml", tmp_path / "run", only=[eager, other])
    found = {one.cell.key: one for one in done.run.records.values() if one.error is not None}
    assert found[eager].status == "unavailable"
    assert found[eager].error.message.startswith("cuda: ")
    assert found[other].status == "unavailable"
    assert done.judgement.exit_code == 0

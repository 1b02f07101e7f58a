"""ONNX files whose batch is open outside and one inside: judged and quantized sample by sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from batch_nets import CLASSES, pictures, save_net
from fake_runs import here

from perfsuite import api
from perfsuite.domain.record import ONE_AT_A_TIME, Record
from perfsuite.runner import schedule

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

SUITE = """
workloads = ["net.onnx", "plain.onnx"]
runtimes  = ["onnxruntime", "openvino"]
threads   = 1
processes = 1
batches   = [1, 8]
measure   = { calls = 5, seconds = 0.0, warmup_seconds = 0.0 }
samples   = { net = "samples.npz", plain = "samples.npz" }

[[recipes]]
name   = "int8"
passes = [{ use = "int8", calibration_samples = 16 }]
"""
SAMPLES = 80


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    (tmp_path / "suite.toml").write_text(SUITE)
    save_net(tmp_path / "plain.onnx", "open")
    labels = np.arange(SAMPLES) % CLASSES
    np.savez(tmp_path / "samples.npz", x=pictures(SAMPLES), labels=labels)
    return tmp_path


def records(folder: Path, *only: str) -> dict[str, Record]:
    found = api.run(folder / "suite.toml", folder / "run", only=only).run.records
    return {record.cell.key: record for record in found.values()}


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_batch_of_one_inside(folder: Path, engine: str) -> None:
    """It answers as the same net without it; only its cell of a larger batch cannot be had."""
    save_net(folder / "net.onnx", "reshaped")
    found = records(folder, f"*/{engine}/*")
    for recipe in ("fp32", "int8"):
        single, plain = (found[f"{name}/{recipe}/{engine}/cpu/b1"] for name in ("net", "plain"))
        assert (single.status, plain.status) == ("ok", "ok"), (single.error, plain.error)
        assert ONE_AT_A_TIME in single.labels
        assert ONE_AT_A_TIME not in plain.labels
        assert single.accuracy is not None and plain.accuracy is not None
        assert single.accuracy.digest == plain.accuracy.digest
        if recipe == "fp32":
            assert single.accuracy == plain.accuracy
        assert found[f"plain/{recipe}/{engine}/cpu/b8"].status == "ok"
        large = found[f"net/{recipe}/{engine}/cpu/b8"]
        assert large.status == "unsupported"
        assert large.error is not None
        said = large.error.message
        assert said.startswith("net takes batches of 1 alone, and 8 was asked for (")
        assert said.endswith(
            "; a constant in the graph, such as that of a Reshape to [1, ...], fixes its batch "
            "inside: export it so that this follows the batch"
        )


def test_a_softmax_over_the_samples_is_that_of_each(folder: Path) -> None:
    """Of one sample all scores are 1, so that the first class is always answered."""
    save_net(folder / "net.onnx", "mixed")
    key = "net/fp32/onnxruntime/cpu/b1"
    record = records(folder, key)[key]
    assert ONE_AT_A_TIME in record.labels
    assert record.accuracy is not None
    labels = np.load(folder / "samples.npz")["labels"][np.random.default_rng(0).permutation(80)]
    assert record.accuracy.value == pytest.approx((labels[40:] == 0).mean())


@pytest.mark.parametrize("kind", ["anchors", "summed"])
def test_further_outputs_that_count_no_samples(folder: Path, kind: str) -> None:
    save_net(folder / "net.onnx", kind)
    keys = [f"{name}/fp32/openvino/cpu/b1" for name in ("net", "plain")]
    found = records(folder, *keys)
    assert [found[key].status for key in keys] == ["ok", "ok"]
    assert found[keys[0]].accuracy == found[keys[1]].accuracy

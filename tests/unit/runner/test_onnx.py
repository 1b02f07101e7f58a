"""ONNX files as workloads, through the engines that take them; torch is never needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_runs import here
from onnx_net import CLASSES, SIDE, expected, save, weights

from perfsuite import api
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run
from perfsuite.domain.runtime import SessionOptions
from perfsuite.runner import schedule
from perfsuite.runner.build import artifacts
from perfsuite.store.cache import Cache
from perfsuite.store.journal import read

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

SUITE = """
workloads = ["net.onnx"]
runtimes  = ["onnxruntime", "openvino"]
threads   = 1
processes = 1
measure   = {{ calls = 5, seconds = 0.0, warmup_seconds = 0.0 }}
{more}

[[recipes]]
name   = "int8"
passes = [{{ use = "int8", calibration_samples = 16 }}]
"""
SAMPLES = 80


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    (tmp_path / "suite.toml").write_text(SUITE.format(more=""))
    save(tmp_path / "net.onnx", weights())
    return tmp_path


def run(folder: Path, out: str = "run", only: str | None = None) -> tuple[Run, Judgement]:
    return api.run(folder / "suite.toml", folder / out, only=only)[1:]


def with_samples(folder: Path, seed: int = 1) -> np.ndarray:
    """Write a samples file whose labels the net gets right, but for one in four; return x."""
    x = np.random.default_rng(seed).normal(size=(SAMPLES, 3, SIDE, SIDE)).astype(np.float32)
    labels = expected(x, weights()).argmax(axis=1)
    labels[::4] = (labels[::4] + 1) % CLASSES
    np.savez(folder / "samples.npz", x=x, labels=labels)
    (folder / "suite.toml").write_text(SUITE.format(more='samples = { net = "samples.npz" }'))
    return x


def test_without_samples_it_is_timed_and_not_judged(folder: Path) -> None:
    found, judgement = run(folder)
    by_key = {record.cell.key: record for record in found.records.values()}
    for engine in ("onnxruntime", "openvino"):
        fp32, int8 = by_key[f"net/fp32/{engine}/cpu/b1"], by_key[f"net/int8/{engine}/cpu/b1"]
        assert fp32.status == "ok"
        assert "unlabelled" in fp32.labels
        assert fp32.accuracy is None
        assert len(fp32.latencies_s[0]) == 5
        assert fp32.values["parameters"] == (8 * 27 + 8 + CLASSES * 8 + CLASSES,)
        assert fp32.values["macs"] == ((SIDE - 2) ** 2 * 8 * 27 + CLASSES * 8,)
        assert int8.status == "unsupported"
        assert int8.error is not None
        assert "give it a samples file in the suite: samples = {" in int8.error.message
    assert judgement.exit_code == 2


def test_with_samples_it_is_judged_in_fp32_and_int8(folder: Path) -> None:
    with_samples(folder)
    found, judgement = run(folder)
    assert judgement.exit_code == 0
    for record in found.records.values():
        assert record.status == "ok"
        assert record.labels in ((), ("unsteady",))
        assert record.accuracy is not None
        assert record.accuracy.metric == "top1"
        assert record.accuracy.samples == SAMPLES // 2
        tolerance = 0.0 if record.cell.recipe == "fp32" else 0.15
        assert abs(record.accuracy.value - 0.75) <= tolerance
    int8 = [one for one in found.records.values() if one.cell.recipe == "int8"]
    assert all(
        one.evidence and any("int8" in name for name in one.evidence.kernels) for one in int8
    )
    for record in found.records.values():
        quantized = record.cell.recipe == "int8"
        assert record.int8_share == (1.0 if quantized else None)
        assert [one.output for one in record.likeness] == ["y"] * quantized
        assert all(one.cosine and 0.99 < one.cosine < 1.0 for one in record.likeness)
        assert all(one.samples == 2 + 4 for one in record.likeness)  # timed, and of calibration


def test_other_samples_calibrate_anew(folder: Path) -> None:
    with_samples(folder)
    only = "net/int8/onnxruntime/*"
    first = next(iter(run(folder, "one", only)[0].records.values()))
    assert not any(line.cached for line in read(folder / "one")[1])
    run(folder, "two", only)
    again = [line.cached for line in read(folder / "two")[1] if line.job == "prepare"]
    assert again == [True]
    with_samples(folder, seed=2)
    other = next(iter(run(folder, "three", only)[0].records.values()))
    assert other.artifact != first.artifact


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_weights_in_files_of_their_own(folder: Path, engine: str) -> None:
    options = {"save_as_external_data": True, "location": "net.bin", "size_threshold": 0}
    cells = f"net/fp32/{engine}/*"
    answers, keys = [], []
    x = {"x": np.random.default_rng(5).normal(size=(1, 3, SIDE, SIDE)).astype(np.float32)}
    for seed in (0, 1):
        for name in ("net.onnx", "net.bin"):
            (folder / name).unlink(missing_ok=True)
        save(folder / "net.onnx", weights(seed), **options)
        record = next(iter(run(folder, f"run{seed}", cells)[0].records.values()))
        assert record.status == "ok", record.error
        keys.append(record.artifact)
        artifact = Cache().get("artifact", record.artifact)
        assert artifact is not None
        for name in ("net.onnx", "net.bin"):
            (folder / name).rename(folder / f"{name}.away")  # the artifact stands alone
        runtime, manifest = artifacts.load_runtime(engine), artifacts.read_manifest(artifact)
        with runtime.open(artifact, manifest, SessionOptions(1, 1)) as session:
            answers.append(session.run(x)[0])
        np.testing.assert_allclose(answers[-1], expected(x["x"], weights(seed)), atol=1e-4)
    assert keys[0] != keys[1], "only the file beside it has changed"
    assert not np.allclose(answers[0], answers[1])


def test_a_missing_weights_file_is_named(folder: Path) -> None:
    options = {"save_as_external_data": True, "location": "net.bin", "size_threshold": 0}
    save(folder / "net.onnx", weights(), **options)
    (folder / "net.bin").unlink()
    found, judgement = run(folder, only="net/fp32/openvino/*")
    (record,) = found.records.values()
    assert record.error is not None
    assert record.error.kind == "ConfigError"
    assert "net.bin, which is not there; copy that file beside" in record.error.message
    assert judgement.exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not an ONNX"), (b"no model at all", "not an ONNX"), (b"\x08\x09", "not an ONNX")],
)
def test_a_file_that_is_no_model(folder: Path, content: bytes, message: str) -> None:
    (folder / "net.onnx").write_bytes(content)
    found, judgement = run(folder, only="net/fp32/onnxruntime/*")
    (record,) = found.records.values()
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.kind == "ConfigError"
    assert "net.onnx" in record.error.message
    assert message in record.error.message
    assert judgement.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_a_corrupt_samples_file(folder: Path, content: bytes) -> None:
    with_samples(folder)
    (folder / "samples.npz").write_bytes(content)
    (record,) = run(folder, only="net/fp32/openvino/*")[0].records.values()
    assert record.error is not None
    assert record.error.kind == "ConfigError"
    assert "samples.npz: not a readable .npz file" in record.error.message


PASS = """
from typing import ClassVar

import msgspec


class Prune(msgspec.Struct, frozen=True):
    version: ClassVar[int] = 1

    def resolve(self, target):
        return ""

    def fit(self, model, ctx):
        raise AssertionError

    def rebuild(self, model, edits):
        raise AssertionError
"""


def test_a_model_pass_is_not_skipped_in_silence(folder: Path) -> None:
    (folder / "passes.py").write_text(PASS)
    text = SUITE.format(more="").replace(
        'use = "int8", calibration_samples = 16', 'use = "passes.py:Prune"'
    )
    (folder / "suite.toml").write_text(text)
    found, _ = run(folder, only="net/int8/*")
    for record in found.records.values():
        assert record.status == "unsupported"
        assert record.error is not None
        assert "passes.py:Prune on net: a model pass needs the torch module" in record.error.message

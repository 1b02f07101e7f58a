"""Files that onnxruntime has quantized: timed as they are, and judged against the float file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_runs import here
from onnx_net import SIDE, expected, save, weights

from perfsuite import api
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import IN_FLOAT, INT8_ALREADY, MAY_OVERFLOW, Record, Run
from perfsuite.libraries.vectors import has_vnni
from perfsuite.measure.environment import environment
from perfsuite.runner import schedule

quantization = pytest.importorskip("onnxruntime.quantization")
pytest.importorskip("openvino")

SUITE = """
workloads = ["float.onnx", "qdq.onnx", "qoperator.onnx", "dynamic.onnx"]
runtimes  = ["onnxruntime", "openvino"]
threads   = 1
processes = 1
measure   = { calls = 5, seconds = 0.0, warmup_seconds = 0.0 }
samples   = { float = "s.npz", qdq = "s.npz", qoperator = "s.npz", dynamic = "s.npz" }

[[recipes]]
name   = "int8"
passes = [{ use = "int8", calibration_samples = 16 }]

[[budgets]]
name            = "the quantized files may lose five points"
metric          = "top1"
cell            = "q*/fp32/onnxruntime/*"
against         = "float/fp32/onnxruntime/*"
max_drop_points = 60.0
"""
FILES = ("qdq", "qoperator", "dynamic")
ENGINES = ("onnxruntime", "openvino")
SAMPLES = 80


class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, x: np.ndarray) -> None:
        self.batches = iter([{"x": part} for part in np.array_split(x, 4)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def quantize(folder: Path, x: np.ndarray) -> None:
    """Write the float net, and what each of onnxruntime's ways makes of it."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    save(folder / "float.onnx", weights())
    logging.disable(logging.WARNING)
    try:
        for name, way, signed in (
            ("qdq", QuantFormat.QDQ, QuantType.QInt8),
            ("qoperator", QuantFormat.QOperator, QuantType.QUInt8),
        ):
            quantize_static(
                folder / "float.onnx",
                folder / f"{name}.onnx",
                Reader(x),
                quant_format=way,
                activation_type=QuantType.QUInt8,
                weight_type=signed,
            )
        quantize_dynamic(folder / "float.onnx", folder / "dynamic.onnx")
    finally:
        logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Run, Judgement]]:
    folder = tmp_path_factory.mktemp("int8")
    x = np.random.default_rng(1).normal(size=(SAMPLES, 3, SIDE, SIDE)).astype(np.float32)
    np.savez(folder / "s.npz", x=x, labels=expected(x, weights()).argmax(axis=1))
    quantize(folder, x)
    (folder / "suite.toml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFSUITE_CELL", "")
        patch.setenv("PERFSUITE_HOME", str(folder / "home"))
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
        yield api.run(folder / "suite.toml", folder / "run")[1:]


def record_of(run: Run, key: str) -> Record:
    return next(one for one in run.records.values() if one.cell.key.startswith(f"{key}/"))


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("qdq", "onnxruntime"),
        ("qdq", "openvino"),
        ("qoperator", "onnxruntime"),
        ("dynamic", "onnxruntime"),
        ("dynamic", "openvino"),
    ],
)
def test_it_is_timed_as_it_is(judged: tuple[Run, Judgement], name: str, engine: str) -> None:
    record = record_of(judged[0], f"{name}/fp32/{engine}")
    assert record.status == "ok", record.error
    assert INT8_ALREADY in record.labels
    assert len(record.latencies_s[0]) == 5
    assert record.breakdown is not None
    assert record.accuracy is not None
    assert record.accuracy.value >= 0.9, "labels are the float net's own answers"
    assert INT8_ALREADY not in record_of(judged[0], f"float/fp32/{engine}").labels
    # Of the file in operators, weights are unsigned, with which engines deal in several ways.
    wide = name != "qoperator" and IN_FLOAT not in record.labels
    lacks_vnni = not has_vnni(environment().must_match.flags)
    assert (MAY_OVERFLOW in record.labels) == (wide and lacks_vnni)


def test_operators_of_onnxruntime_alone(judged: tuple[Run, Judgement]) -> None:
    record = record_of(judged[0], "qoperator/fp32/openvino")
    assert record.status == "unsupported"
    assert record.error is not None
    assert "openvino has no operator com.microsoft.QGemm" in record.error.message
    assert "or quantize the model with QDQ pairs" in record.error.message


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", FILES)
def test_int8_of_int8_is_refused(judged: tuple[Run, Judgement], name: str, engine: str) -> None:
    record = record_of(judged[0], f"{name}/int8/{engine}")
    assert record.status == "unsupported"
    assert record.error is not None
    assert "INT8 already" in record.error.message
    assert record_of(judged[0], f"float/int8/{engine}").status == "ok"


def test_it_is_judged_against_the_float_file(judged: tuple[Run, Judgement]) -> None:
    _, judgement = judged
    found = [one for one in judgement.verdicts if one.metric == "top1"]
    assert {one.cell.partition("/")[0] for one in found} == {"qdq", "qoperator"}
    assert {one.status for one in found} == {"pass"}

"""ONNX files with open sides, through engines and INT8: what is timed is what was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_runs import here
from open_sides import folding, running_sum, segmenter, steps_first, thresholded

from perfsuite import api
from perfsuite.config import profile_suite
from perfsuite.domain.record import Record
from perfsuite.domain.suite import Inspect, Measure
from perfsuite.runner import schedule

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

SUITE = """
runtimes  = ["onnxruntime", "openvino"]
threads   = 1
processes = 1
measure   = { calls = 5, seconds = 0.0, warmup_seconds = 0.0 }
"""
INT8 = """
[[recipes]]
name   = "int8"
passes = [{ use = "int8", calibration_samples = 8 }]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o, **more: schedule.work_off(j, o, here, **more))
    return tmp_path


def records(folder: Path, text: str, **arrays: object) -> dict[str, Record]:
    if arrays:
        np.savez(folder / "s.npz", **arrays)  # type: ignore[arg-type]
    (folder / "suite.toml").write_text(text)
    found = api.run(folder / "suite.toml", folder / "run").run
    return {one.cell.key: one for one in found.records.values()}


@pytest.mark.parametrize(
    "sides", [("N", 3, "h", "w"), ("?", 3, "?", "?"), (None, 3, None, None), (1, 3, "h", "w")]
)
def test_a_segmenter_with_samples_is_timed_and_quantized(
    folder: Path, sides: tuple[str | int | None, ...]
) -> None:
    segmenter(folder / "net.onnx", sides)
    text = f'workloads = ["net.onnx"]\nsamples = {{ net = "s.npz" }}\n{SUITE}{INT8}'
    x = np.random.default_rng(0).normal(size=(20, 3, 6, 8)).astype(np.float32)
    found = records(folder, text, x=x)
    assert len(found) == 4
    for record in found.values():
        assert record.status == "ok", record.error
        assert record.input_shapes == {"x": ((1, 3, 6, 8),)}
        assert not record.made_up
        assert record.accuracy is not None
        assert record.accuracy.metric != "top1", "there are no labels"
        assert record.values["macs"] == (6 * 8 * (4 * 27 + 2 * 4),)
    report = api.report(folder / "run")
    assert "inputs: x 1x3x6x8" in report


def test_samples_of_several_sizes(folder: Path) -> None:
    segmenter(folder / "net.onnx", ("?", 3, "?", "?"))
    text = f'workloads = ["net.onnx"]\nbatches = [2]\nsamples = {{ net = "s.npz" }}\n{SUITE}{INT8}'
    rng = np.random.default_rng(0)
    x = {f"x/{i}": rng.normal(size=(3, 6, 6 + i % 3)).astype(np.float32) for i in range(12)}
    for record in records(folder, text, **x).values():
        assert record.status == "ok", record.error
        shapes = set(record.input_shapes["x"])
        assert shapes == {(2, 3, 6, 6), (2, 3, 6, 7), (2, 3, 6, 8)}


def test_made_up_inputs_have_the_shape_that_was_told(folder: Path) -> None:
    segmenter(folder / "net.onnx")
    steps_first(folder / "steps.onnx")
    shapes = "shapes = { net = { x = [1, 3, 10, 12] }, steps = { x = [7, 1, 4] } }"
    text = f'workloads = ["net.onnx", "steps.onnx"]\nbatches = [1, 2]\n{shapes}\n{SUITE}'
    found = records(folder, text)
    told = {key: (one.status, one.input_shapes["x"], one.made_up) for key, one in found.items()}
    assert told == {
        f"{net}/fp32/{engine}/cpu/b{batch}": ("ok", (shape(batch),), True)
        for net, shape in (
            ("net", lambda n: (n, 3, 10, 12)),
            ("steps", lambda n: (7, n, 4)),
        )
        for engine in ("onnxruntime", "openvino")
        for batch in (1, 2)
    }
    assert "x 1x3x10x12 (made up) (b1); x 2x3x10x12 (made up) (b2)" in api.report(
        folder / "run", "md"
    ).replace("\\", "")


def test_steps_are_no_samples(folder: Path) -> None:
    running_sum(folder / "net.onnx", ("?", 4))
    text = 'workloads = ["net.onnx"]\nbatches = [1, 9]\nshapes = { net = { x = [9, 4] } }\n'
    for key, record in records(folder, text + SUITE).items():
        if key.endswith("b1"):
            assert record.status == "ok", record.error
            assert record.input_shapes == {"x": ((9, 4),)}
        else:
            assert record.status == "unsupported"
            assert record.error is not None
            assert "9 was asked for (its answer to one entry depends on" in record.error.message


def test_open_sides_that_nobody_told_fail_their_cell_with_what_to_say(folder: Path) -> None:
    segmenter(folder / "net.onnx")
    found = records(folder, f'workloads = ["net.onnx"]\n{SUITE}')
    for record in found.values():
        assert record.status == "failed"
        assert record.error is not None
        assert record.error.kind == "ConfigError"
        assert "shapes = { net = { x = [1, 3, H, W] } }" in record.error.message


def test_a_batch_that_the_model_does_not_take_is_unsupported(folder: Path) -> None:
    folding(folder / "net.onnx")
    found = records(folder, f'workloads = ["net.onnx"]\nbatches = [1, 4]\n{SUITE}')
    for key, record in found.items():
        if key.endswith("b1"):
            assert (record.status, record.input_shapes) == ("ok", {"x": ((1, 3, 2, 2),)})
        else:
            assert record.status == "unsupported"
            assert record.error is not None
            assert "net takes batches of 1 alone, and 4 was asked for (" in record.error.message
            assert "MatMul" in record.error.message


@pytest.mark.parametrize("sides", [("N", 3, 4, 4), (1, 3, 4, 4)])
def test_inputs_that_are_given_once(folder: Path, sides: tuple[int | str, ...]) -> None:
    thresholded(folder / "net.onnx", sides)
    text = f'workloads = ["net.onnx"]\nsamples = {{ net = "s.npz" }}\n{SUITE}'
    x = np.random.default_rng(0).normal(size=(20, 3, 4, 4)).astype(np.float32)
    labels = x.mean(axis=(2, 3)).argmax(axis=1)
    given = {"iou": np.float32([0.5]), "scale": np.float32(2.0), "labels": labels}
    for record in records(folder, text, x=x, **given).values():
        assert record.status == "ok", record.error
        assert record.input_shapes == {"x": ((1, 3, 4, 4),), "iou": ((1,),), "scale": ((),)}
        assert record.accuracy is not None
        assert record.accuracy.value == 1.0


def test_a_profile_with_samples_and_with_shapes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Measure(calls=2, seconds=0.0, warmup_seconds=0.0)
    monkeypatch.setattr(profile_suite, "MEASURE", few)
    monkeypatch.setattr(profile_suite, "INSPECT", Inspect(calls=2, seconds=0.0))
    path = segmenter(folder / "net.onnx", ("?", 3, "?", "?"))
    x = np.random.default_rng(0).normal(size=(3, 3, 6, 8)).astype(np.float32)
    np.savez(folder / "s.npz", x=x)
    given = {"runtimes": ["onnxruntime"], "threads": 1}
    sampled = api.profile(path, folder / "one", samples=folder / "s.npz", **given)  # type: ignore[arg-type]
    told = api.profile(path, folder / "two", shapes={"x": (1, 3, 8, 8)}, **given)  # type: ignore[arg-type]
    for judged, shape, words in (
        (sampled, (1, 3, 6, 8), "1 thread, x 1x3x6x8, "),
        (told, (1, 3, 8, 8), "1 thread, x 1x3x8x8 (made up), unlabelled"),
    ):
        assert judged.exit_code == 0
        (record,) = judged.run.records.values()
        assert record.input_shapes == {"x": (shape,)}
        assert words in (judged.folder / "breakdown.md").read_text().replace("\\", "")

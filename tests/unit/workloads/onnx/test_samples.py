"""Samples of plain ONNX files: without labels, of several sizes, beside inputs given once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from open_sides import (
    folding,
    running_sum,
    segmenter,
    steps_first,
    thresholded,
    with_positions,
    without_batch,
)

from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.workloads.onnx.agreement import COMPARED
from perfsuite.workloads.onnx.file import onnx_workload

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def workload(path: Path, **arrays: Any) -> Workload:
    np.savez(path.with_suffix(".npz"), **arrays)
    return onnx_workload(path, path.with_suffix(".npz"))


def refusal(path: Path, **arrays: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        workload(path, **arrays)
    return str(caught.value)


def shapes(inputs: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in inputs.items()}


def test_without_labels_they_time_calibrate_and_agree(tmp_path: Path) -> None:
    x = normal(10, 3, 6, 8)
    task = workload(segmenter(tmp_path / "net.onnx"), x=x).task
    assert list(task.metrics()) == ["agreement"]
    assert not task.made_up
    assert shapes(task.inputs(4, 0)) == {"x": (4, 3, 6, 8)}
    calibrated = np.concatenate([batch["x"] for batch in task.calibration(100)])
    assert len(calibrated) == 5, "the first half"
    timed = np.concatenate([task.inputs(4, seed)["x"] for seed in range(8)])
    assert not {one.tobytes() for one in timed} & {one.tobytes() for one in calibrated}
    assert {one.tobytes() for one in timed} < {one.tobytes() for one in x}


def test_a_single_sample_will_do(tmp_path: Path) -> None:
    task = workload(segmenter(tmp_path / "net.onnx", ("?", 3, "?", "?")), x=normal(1, 3, 6, 8)).task
    assert shapes(task.inputs(2, 3)) == {"x": (2, 3, 6, 8)}
    assert [shapes(one) for one in task.calibration(9)] == [{"x": (1, 3, 6, 8)}]


@pytest.mark.parametrize("whole", [True, False])
def test_samples_of_several_sizes_are_written_one_by_one(tmp_path: Path, whole: bool) -> None:
    sizes = [(6, 8), (8, 6), (6, 8), (10, 4), (8, 6), (6, 8)]
    given = {f"x/{i}": normal(*(1,) * whole, 3, *size) for i, size in enumerate(sizes)}
    found = workload(segmenter(tmp_path / "net.onnx", ("?", 3, "?", "?")), **given)
    assert found.model.batch is None
    for seed in range(6):
        batch = found.task.inputs(3, seed)["x"]
        assert batch.shape[0] == 3
        assert batch.shape[2:] in sizes
    assert [len(one["x"]) for one in found.task.calibration(9)] == [1, 1, 1]
    assert {one["x"].shape[2:] for one in found.task.calibration(9)} <= set(sizes)


def test_a_missing_one_is_named(tmp_path: Path) -> None:
    path, x = segmenter(tmp_path / "net.onnx"), normal(3, 6, 8)
    told = refusal(path, **{"x/0": x, "x/1": x, "x/3": x})
    assert told.endswith("net.npz: no array named x/2, and there are later ones")
    assert "array 'x/1' is float32 (6, 8), but" in refusal(path, **{"x/0": x, "x/1": x[0]})


def test_pictures_of_several_sizes_cannot_be_stacked_by_pickle(tmp_path: Path) -> None:
    ragged = np.empty(2, object)
    ragged[:] = [normal(3, 6, 8), normal(3, 8, 6)]
    told = refusal(segmenter(tmp_path / "net.onnx"), x=ragged)
    assert (
        "samples of different sizes one by one: numpy.savez(file, **{f'x/{i}': one for i," in told
    )


def test_what_is_given_once_is_the_same_in_every_call(tmp_path: Path) -> None:
    iou, scale = np.array([0.5], np.float32), np.float32(2)
    path = thresholded(tmp_path / "net.onnx")
    found = workload(path, x=normal(9, 3, 4, 4), iou=iou, scale=scale, labels=np.zeros(9, int))
    asked = []

    def predict(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        asked.append(shapes(inputs))
        return [inputs["x"].mean(axis=(2, 3))]

    assert len(found.task.rows(predict)) == 5
    assert asked == [{"x": (5, 3, 4, 4), "iou": (1,), "scale": ()}]
    assert shapes(found.task.inputs(2, 0)) == {"x": (2, 3, 4, 4), "iou": (1,), "scale": ()}
    assert found.task.inputs(2, 0)["iou"] == iou


def test_an_input_with_a_first_side_of_one_may_differ_between_samples(tmp_path: Path) -> None:
    path, x, scale = thresholded(tmp_path / "net.onnx"), normal(9, 3, 4, 4), np.float32(2)
    found = workload(path, x=x, iou=np.arange(9, dtype=np.float32), scale=scale)
    assert found.model.batch == 1
    assert shapes(found.task.inputs(1, 0)) == {"x": (1, 3, 4, 4), "iou": (1,), "scale": ()}
    assert len({float(found.task.inputs(1, seed)["iou"][0]) for seed in range(20)}) > 1
    told = refusal(path, x=x, iou=np.zeros(1, np.float32), scale=np.zeros(9, np.float32))
    assert "array 'scale' is float32 (9,), but the model takes float32 ()" in told


def test_beside_a_fixed_batch_too(tmp_path: Path) -> None:
    path = thresholded(tmp_path / "net.onnx", (1, 3, 4, 4))
    given = {"x": normal(9, 3, 4, 4), "iou": np.float32([0.5]), "scale": np.float32(2)}
    found = workload(path, **given)
    assert [spec.per_call for spec in found.model.inputs] == [False, True, True]
    assert [shapes(one) for one in found.task.calibration(3)] == 3 * [
        {"x": (1, 3, 4, 4), "iou": (1,), "scale": ()}
    ]


@pytest.mark.parametrize(
    ("dtype", "taken"),
    [(np.float64, True), (np.uint8, True), (np.int64, True), (np.float16, True), ("U3", False)],
)
def test_types_are_converted_where_that_is_exact(tmp_path: Path, dtype: Any, taken: bool) -> None:
    x = RNG.integers(0, 200, (4, 3, 6, 8))
    path = segmenter(tmp_path / "net.onnx")
    if not taken:
        assert "array 'x' is <U3" in refusal(path, x=x.astype(dtype))
        return
    task = workload(path, x=x.astype(dtype)).task
    assert task.inputs(1, 0)["x"].dtype == np.float32
    assert task.labels == (COMPARED, f"x: {np.dtype(dtype)} read as float32")
    assert "float64" in refusal(path, x=x + 0.1)
    assert "int64" in refusal(path, x=x + 2**30)


def test_another_side_than_the_first_counts_samples(tmp_path: Path) -> None:
    path = steps_first(tmp_path / "net.onnx")
    found = workload(path, x=normal(6, 7, 4))
    assert [spec.shape for spec in found.model.inputs] == [(7, "batch", 4)]
    assert shapes(found.task.inputs(2, 0)) == {"x": (7, 2, 4)}
    assert [shapes(one) for one in found.task.calibration(2)] == [{"x": (7, 2, 4)}]
    told = refusal(path, x=normal(6, 7, 4), labels=np.zeros(6, int))
    assert "input 'x' counts samples by another; leave the labels out" in told
    told = refusal(path, x=normal(6, 7, 5))
    assert "takes float32 (seq, batch, 4); convert the array, which is (samples, seq, 4)" in told


def test_ids_and_positions(tmp_path: Path) -> None:
    ids, pos = RNG.integers(0, 9, (6, 5)), np.arange(5, dtype=np.float32)
    found = workload(with_positions(tmp_path / "net.onnx"), ids=ids, pos=pos)
    assert shapes(found.task.inputs(2, 0)) == {"ids": (2, 5), "pos": (5,)}
    made_up = onnx_workload(tmp_path / "net.onnx", shapes={"ids": (1, 5)}).task.inputs(2, 0)
    assert shapes(made_up) == {"ids": (2, 5), "pos": (5,)}


def test_a_batch_that_is_folded_inside(tmp_path: Path) -> None:
    path = folding(tmp_path / "net.onnx")
    found = workload(path, x=normal(6, 3, 2, 2), labels=np.zeros(6, int))
    assert found.model.batch == 1
    assert "MatMul" in found.model.why_batch
    assert [spec.shape for spec in found.model.inputs] == [(1, 3, 2, 2)]
    asked = []
    found.task.rows(lambda inputs: asked.append(inputs["x"].shape) or [np.zeros((1, 5))])
    assert asked == [(1, 3, 2, 2)] * 3
    assert onnx_workload(path).model.batch == 1


@pytest.mark.parametrize("sizes", [[(6, 8)] * 5, [(6, 8), (8, 6), (6, 8), (6, 8), (8, 6)]])
def test_a_fixed_batch_beside_open_sides(tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    path = segmenter(tmp_path / "net.onnx", (1, 3, "h", "w"))
    alike = len(set(sizes)) == 1
    given = {"x": normal(5, 3, 6, 8)}
    if not alike:
        given = {f"x/{i}": normal(3, *size) for i, size in enumerate(sizes)}
    found = workload(path, **given)
    assert [spec.shape for spec in found.model.inputs] == ([(1, 3, 6, 8)] if alike else [])
    assert found.task.inputs(1, 0)["x"].shape[2:] in sizes
    assert [len(one["x"]) for one in found.task.calibration(9)] == [1, 1]
    (told,) = onnx_workload(path, shapes={"x": (1, 3, 5, 7)}).model.inputs
    assert (told.shape, told.per_call) == ((1, 3, 5, 7), False)


def test_samples_of_what_counts_none_are_refused(tmp_path: Path) -> None:
    given = {f"pos/{i}": np.zeros(5, np.float32) for i in range(6)}
    told = refusal(with_positions(tmp_path / "net.onnx"), ids=np.zeros((6, 5), int), **given)
    assert "no side of input 'pos' (seq,) counts samples, so it is given once, as 'pos'" in told


def test_steps_are_asked_for(tmp_path: Path) -> None:
    path = running_sum(tmp_path / "net.onnx", ("?", 4))
    with pytest.raises(ConfigError, match=r"'x' \(\?, 4\) counts samples: its answer to one entry"):
        onnx_workload(path)
    assert onnx_workload(path, shapes={"x": (9, 4)}).task.inputs(1, 0)["x"].shape == (9, 4)
    named = running_sum(tmp_path / "named.onnx", ("time", 4))
    with pytest.raises(
        ConfigError, match="inputs is known to count samples, and each is given once"
    ):
        workload(named, x=normal(6, 4))


def test_labels_of_what_has_no_classes_are_told(tmp_path: Path) -> None:
    labels = np.zeros(6, int)
    told = refusal(segmenter(tmp_path / "net.onnx"), x=normal(6, 3, 6, 8), labels=labels)
    assert "as the first output, and 'y' is (batch, 2, 6, 8); leave the labels out" in told
    told = refusal(folding(tmp_path / "five.onnx"), x=normal(6, 3, 2, 2), labels=labels + 5)
    assert (
        "there is a label 5, but the model's first output has 5 classes: labels run from " in told
    )
    assert "or leave the labels out: the model is then timed and calibrated" in told
    counted = refusal(tmp_path / "five.onnx", x=normal(5, 3, 2, 2), labels=np.arange(5) + 1)
    assert "they seem to be counted from 1: subtract 1" in counted
    whole = refusal(tmp_path / "five.onnx", x=normal(5, 3, 2, 2), labels=np.arange(5.0))
    assert whole.endswith("(samples,); take labels.astype(int)")


def test_a_trial_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from perfsuite.workloads.onnx import file

    path = segmenter(tmp_path / "net.onnx", ("odd", 3, 5, 7))
    first = onnx_workload(path).model
    monkeypatch.setattr(file, "tried", None)
    assert onnx_workload(path).model == first


def test_where_no_side_counts_samples_each_is_a_whole_input(tmp_path: Path) -> None:
    x = normal(6, 3, 6, 8)
    stacked = workload(without_batch(tmp_path / "net.onnx"), x=x)
    alone = workload(tmp_path / "net.onnx", **{f"x/{place}": one for place, one in enumerate(x)})
    for found in (stacked, alone):
        assert (found.model.batch, found.model.why_batch) == (
            1,
            "no side of its inputs counts samples",
        )
        assert shapes(found.task.inputs(1, 0)) == {"x": (3, 6, 8)}
        assert [shapes(one) for one in found.task.calibration(9)] == 3 * [{"x": (3, 6, 8)}]
        timed = {found.task.inputs(1, seed)["x"].tobytes() for seed in range(20)}
        assert timed == {one.tobytes() for one in x[np.random.default_rng(0).permutation(6)[3:]]}


def test_pictures_of_any_size_without_a_side_for_samples(tmp_path: Path) -> None:
    sizes = [(6, 8), (8, 6), (6, 8), (10, 4)]
    path = without_batch(tmp_path / "net.onnx", (3, "height", "width"))
    found = workload(path, **{f"x/{place}": normal(3, *one) for place, one in enumerate(sizes)})
    assert [spec.shape for spec in found.model.inputs] == [(3, "height", "width")]
    assert {found.task.inputs(1, seed)["x"].shape[1:] for seed in range(20)} <= {*sizes}
    told = refusal(path, x=normal(3, 6, 8))
    assert "each is given once; give several samples of an input with one side more" in told


def test_a_first_side_that_no_output_begins_with_counts_no_samples(tmp_path: Path) -> None:
    found = onnx_workload(without_batch(tmp_path / "net.onnx"))
    assert found.model.batch == 1
    assert found.model.inputs[0].per_call
    assert shapes(found.task.inputs(1, 0)) == {"x": (3, 6, 8)}


@pytest.mark.parametrize("least", [1, 4])
def test_no_samples_at_all_are_told(tmp_path: Path, least: int) -> None:
    labels = {"labels": np.zeros(0, int)} if least == 4 else {}
    told = refusal(segmenter(tmp_path / "net.onnx"), x=normal(0, 3, 6, 8), **labels)
    assert told.endswith(f"array 'x' is (0, 3, 6, 8) and holds no samples; give at least {least}")

"""A detector that is an ONNX file, judged by pictures with boxes in COCO's format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from perfsuite import ConfigError
from perfsuite.config.loading import load_suite
from perfsuite.domain.suite import DetectionTable
from perfsuite.workloads.onnx.file import onnx_workload

IDS = {"cat": 17, "dog": 18}  # as COCO numbers them


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Write four pictures of 64x32, each with a dog at (10, 4) to (30, 24)."""
    (tmp_path / "images").mkdir()
    for number in range(4):
        picture = np.full((32, 64, 3), 40 * number, np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.png")
    content = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(4)],
        "annotations": [
            {"image_id": n, "category_id": 18, "bbox": [10, 4, 20, 20]} for n in range(4)
        ],
        "categories": [{"id": number, "name": name} for name, number in IDS.items()],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    return tmp_path


def detector(
    folder: Path, output: np.ndarray, sides: tuple = (1, 3, 32, 32), first: int | str = 1
) -> Path:
    """Write a model that answers `output`, whose `first` side is declared, to any picture."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], "mean", keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"], "nothing"),
        helper.make_node("Add", ["boxes", "nothing"], ["y"], "add"),
    ]
    shape = [first, *output.shape[1:]]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(output.astype(np.float32), "boxes"),
            numpy_helper.from_array(np.float32(0), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def table(folder: Path, **given: object) -> DetectionTable:
    fields = {"layout": "yolov8", "pictures": str(folder / "images"), **given}
    return DetectionTable(annotations=str(folder / "boxes.json"), **fields)  # type: ignore[arg-type]


# In the picture scaled to 32x16, the dog stands at (5, 2) to (15, 12).
DOG = np.array([[[10.0, 7.0, 10.0, 10.0, 0.1, 0.9]]]).transpose(0, 2, 1)


def test_a_detector_that_is_right_has_a_precision_of_one(coco: Path) -> None:
    task = onnx_workload(detector(coco, DOG), detection=table(coco)).task
    rows = task.rows(lambda inputs: [DOG.astype(np.float32)])
    assert len(rows) == 2  # every second picture
    assert task.metrics()["map50"](rows) == 1.0
    cat = DOG[:, [0, 1, 2, 3, 5, 4]]
    assert task.metrics()["map50"](task.rows(lambda inputs: [cat])) == 0.0


def test_pictures_are_scaled_to_the_models_size_and_its_values(coco: Path) -> None:
    file = detector(coco, DOG)
    (found,) = onnx_workload(file, detection=table(coco)).task.inputs(1, 0).values()
    assert found.shape == (1, 3, 32, 32) and found.dtype == np.float32 and found.max() <= 1
    assert not found[:, :, 16:].any(), "padded below"
    (raw,) = onnx_workload(file, detection=table(coco, pixels="0-255")).task.inputs(1, 0).values()
    np.testing.assert_allclose(raw, found * 255, rtol=1e-6)
    (other,) = (
        onnx_workload(file, detection=table(coco, pixels="imagenet")).task.inputs(1, 0).values()
    )
    np.testing.assert_allclose(other[0, 0], (found[0, 0] - 0.485) / 0.229, rtol=1e-5)


def test_calibration_pictures_are_not_tested(coco: Path) -> None:
    task = onnx_workload(detector(coco, DOG), detection=table(coco)).task
    tested, calibrated = [], [float(one["x"].max()) for one in task.calibration(10)]

    def predict(inputs):
        tested.append(float(inputs["x"].max()))
        return [DOG.astype(np.float32)]

    task.rows(predict)
    assert len(calibrated) == len(tested) == 2 and not set(calibrated) & set(tested)


def test_labels_may_be_the_data_sets_own_ids(coco: Path) -> None:
    task = onnx_workload(detector(coco, DOG), detection=table(coco, layout="torchvision")).task
    boxes, scores = np.array([[5.0, 2, 15, 12]], np.float32), np.array([0.9], np.float32)
    right = task.rows(lambda inputs: [boxes, np.array([18]), scores])
    unknown = task.rows(lambda inputs: [boxes, np.array([90]), scores])
    assert task.metrics()["map50"](right) == 1.0
    assert task.metrics()["map50"](unknown) == 0.0


def test_open_sides_get_the_size_that_is_given_or_are_asked_for(coco: Path) -> None:
    file = detector(coco, DOG, (1, 3, "h", "w"))
    with pytest.raises(ConfigError, match=r"size = \[height, width\]"):
        onnx_workload(file, detection=table(coco))
    (found,) = onnx_workload(file, detection=table(coco, size=(16, 24))).task.inputs(1, 0).values()
    assert found.shape == (1, 3, 16, 24)


@pytest.mark.parametrize("sides", [(3, "h", "w"), ("h", "w", 3), (3, 16, 24), (16, 24, 3)])
def test_a_model_of_one_picture_is_given_one(coco: Path, sides: tuple) -> None:
    # As torchvision's detectors are exported, whose pictures have no side for samples.
    file = detector(coco, DOG, sides, "boxes")
    one = onnx_workload(file, detection=table(coco, size=(16, 24)))
    assert one.model.batch == 1 and one.model.inputs[0].per_call
    several = onnx_workload(
        detector(coco, DOG, (1, 3, 16, 24)), detection=table(coco, size=(16, 24))
    )
    seen = list[np.ndarray]()
    one.task.rows(lambda inputs: seen.append(inputs["x"]) or [DOG])
    (timed,), (calibrated,) = one.task.inputs(1, 0).values(), next(one.task.calibration(1)).values()
    assert timed.shape == calibrated.shape == seen[0].shape
    last = sides[-1] == 3
    (same,) = several.task.inputs(1, 0).values()
    np.testing.assert_array_equal(timed.transpose(2, 0, 1) if last else timed, same[0])


def test_a_picture_is_no_batch_of_three_where_boxes_are_of_any_number(coco: Path) -> None:
    file = detector(coco, DOG, (3, "h", "w"), "boxes")
    assert onnx_workload(file, shapes={"x": (3, 16, 24)}).model.batch == 1
    file = detector(coco, np.repeat(DOG, 3, axis=0), (3, "h", "w"), 3)
    assert onnx_workload(file, shapes={"x": (3, 16, 24)}).model.batch is None


def test_what_has_no_sides_of_a_picture_is_told(coco: Path) -> None:
    with pytest.raises(ConfigError, match=r"'x' is \(1, 8\), and pictures have 3 sides"):
        onnx_workload(detector(coco, DOG, (1, 8)), detection=table(coco, size=(16, 24)))


def test_boxes_are_cut_to_the_picture_as_the_marked_ones_are(coco: Path) -> None:
    # The dog fills the lower right of its picture, which ends at 16 of the 32 rows.
    content = json.loads((coco / "boxes.json").read_text())
    for box in content["annotations"]:
        box["bbox"] = [44, 12, 20, 20]
    (coco / "boxes.json").write_text(json.dumps(content))
    task = onnx_workload(detector(coco, DOG), detection=table(coco)).task
    beyond = np.array([[[32.0, 16.0, 20.0, 20.0, 0.1, 0.9]]]).transpose(0, 2, 1)
    assert task.metrics()["map50"](task.rows(lambda inputs: [beyond])) == 1.0


def test_a_model_of_more_classes_than_the_data_set_is_given_their_names(coco: Path) -> None:
    three = np.concatenate([DOG, DOG[:, -1:] + 0.05], axis=1)
    task = onnx_workload(detector(coco, three), detection=table(coco)).task
    with pytest.raises(ConfigError, match=r"at least 3 classes, .*2 \(cat, dog\).*classes = "):
        task.rows(lambda inputs: [three])
    named = table(coco, classes=("cat", "cow", "dog"))
    task = onnx_workload(detector(coco, three), detection=named).task
    assert task.metrics()["map50"](task.rows(lambda inputs: [three])) == 1.0


def test_a_suite_names_the_data_and_the_layout(coco: Path) -> None:
    detector(coco, DOG)
    text = (
        'workloads = ["net.onnx"]\nruntimes = ["onnxruntime"]\n[detection.net]\n'
        'annotations = "boxes.json"\npictures = "images"\nlayout = "{}"\n'
    )
    (coco / "suite.toml").write_text(text.format("yolov8"))
    suite, _, _ = load_suite(coco / "suite.toml")
    assert suite.detection["net"] == table(coco)
    (coco / "wrong.toml").write_text(text.format("yolo8"))
    with pytest.raises(ConfigError, match="unknown layout; did you mean 'yolov8'"):
        load_suite(coco / "wrong.toml")
    (coco / "gone.toml").write_text(text.format("yolov8").replace("boxes.json", "none.json"))
    with pytest.raises(ConfigError, match="there is no file"):
        load_suite(coco / "gone.toml")

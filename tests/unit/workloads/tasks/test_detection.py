"""The task of detection: inputs, rows, training pictures whose boxes follow them; two detectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blood_cells import forget, use_cells

from perfsuite.data.annotations import Annotations, Skip, decoded
from perfsuite.data.photographs import sections
from perfsuite.data.voc import load_voc
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.errors import ConfigError, ParityError
from perfsuite.models import faster_rcnn as models
from perfsuite.workloads.tasks import detection, moved_boxes
from perfsuite.workloads.tasks.average_precision import DETECTIONS
from perfsuite.workloads.tasks.detection import Detection, differences, fitted
from perfsuite.workloads.tasks.moved_boxes import mirrored_and_zoomed
from perfsuite.workloads.zoo import faster_rcnn

torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

# Colour of the square in each picture, its corners (from 0), and the picture's width and height.
SQUARES = {
    "red": ((255, 0, 0), (4, 8, 24, 28), (64, 48)),
    "green": ((0, 255, 0), (30, 10, 60, 40), (64, 48)),
    "wide": ((255, 0, 0), (40, 20, 80, 60), (128, 96)),
}


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    """Return pictures of one coloured square each: classes red and green."""
    folder = tmp_path_factory.mktemp("squares")
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    for name, (colour, (left, top, right, bottom), (width, height)) in SQUARES.items():
        picture = np.full((height, width, 3), 60, np.uint8)
        picture[top:bottom, left:right] = colour
        Image.fromarray(picture).save(folder / "JPEGImages" / f"{name}.jpg", quality=95)
        kind = "green" if name == "green" else "red"
        (folder / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><object><name>{kind}</name><bndbox><xmin>{left + 1}</xmin>"
            f"<ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            "</annotation>"
        )
    (folder / "ImageSets" / "Main" / "all.txt").write_text("\n".join(SQUARES))
    return load_voc(folder, "all", ("red", "green"))


@pytest.fixture
def task(squares: Annotations) -> Detection:
    return Detection(lambda _: squares, 48, 64)


def see(inputs: Inputs) -> Outputs:
    """Return the box of the red or green square in one picture, as a detector would."""
    image = inputs["images"][0]
    boxes, labels, scores = np.zeros((1, 5, 4), np.float32), np.zeros((1, 5), int), np.zeros((1, 5))
    for channel in (0, 1):
        seen = image[channel] - image[2] > 0.5
        if seen.any():
            rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
            boxes[0, 0] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            labels[0, 0], scores[0, 0] = channel + 1, 0.9
    return [boxes, labels, scores]


def test_a_detector_that_is_right_scores_one(task: Detection) -> None:
    rows = task.rows(see)
    assert rows.shape == (3, 3 * DETECTIONS + 2)
    assert task.metric(rows) == pytest.approx(1.0)
    # In the row of `green` stands one box of the second class.
    assert rows[:, -2:].tolist() == [[1, 0], [0, 1], [1, 0]]
    assert len(task.rows(see, 2)) == 2


def test_a_detector_of_the_wrong_class_scores_nothing(task: Detection) -> None:
    def swapped(inputs: Inputs) -> Outputs:
        boxes, labels, scores = see(inputs)
        return [boxes, np.where(labels > 0, 3 - labels, 0), scores]

    assert task.metric(task.rows(swapped)) == 0.0


def test_outputs_of_another_kind_are_refused(task: Detection) -> None:
    with pytest.raises(ConfigError, match=r"a detector gives boxes \(1, n, 4\)"):
        task.rows(lambda inputs: [np.zeros((1, 10))])


def test_inputs_follow_batch_and_seed(task: Detection) -> None:
    images = task.inputs(3, 1)["images"]
    assert images.shape == (3, 3, 48, 64)
    assert images.dtype == np.float32
    assert 0 <= images.min() <= images.max() <= 1
    assert np.array_equal(images, task.inputs(3, 1)["images"])
    assert len(next(task.calibration(2))["images"]) == 2


def test_a_picture_of_another_shape_is_scaled_to_fit() -> None:
    canvas, scale = fitted(np.full((20, 80, 3), 200, np.uint8), 48, 64)
    assert scale == 0.8
    assert (canvas[:16] == 200).all()
    assert not canvas[16:].any()


def test_training_pictures_come_with_their_boxes(task: Detection) -> None:
    data = task.train()
    assert data.inputs.shape == (3, 48, 64, 3)
    assert data.targets[:, 0].tolist() == [
        [1, 4, 8, 24, 28],
        [2, 30, 10, 60, 40],
        [1, 20, 10, 40, 30],
    ]
    prepared = data.prepare(data.inputs, np.random.default_rng(0))
    assert prepared.shape == (3, 3, 48, 64)
    assert prepared.dtype == np.float32


def test_boxes_follow_their_pictures(task: Detection) -> None:
    data = task.train()
    images = torch.from_numpy(data.inputs.transpose(0, 3, 1, 2) / 255).float()
    boxes = torch.from_numpy(np.pad(data.targets, ((0, 0), (0, 1), (0, 0))))
    mirrored = set()
    for seed in range(12):
        torch.manual_seed(seed)
        changed, moved = mirrored_and_zoomed(images, boxes)
        assert changed.shape == images.shape
        assert not moved[:, 1, 0].any()  # what filled up has no label
        for image, mark, before in zip(changed, moved[:, 0], boxes[:, 0], strict=True):
            if not mark[0]:
                continue
            found = see({"images": image[None].numpy()})[0][0, 0]
            assert np.abs(found - mark[1:].numpy()).max() <= 1.5
            assert mark[0] == before[0]
            mirrored.add(bool((mark[1] + mark[3] - 64) * (before[1] + before[3] - 64) < 0))
    assert mirrored == {True, False}


def test_a_box_that_has_left_its_picture_is_not_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moved_boxes, "ZOOM", (0.5, 0.5))
    image = torch.zeros(1, 3, 40, 40)
    boxes = torch.tensor([[[1.0, 0, 0, 4, 4], [2.0, 12, 12, 28, 28]]])
    torch.manual_seed(0)
    labels = torch.stack([mirrored_and_zoomed(image, boxes)[1][0, :, 0] for _ in range(20)])
    assert (labels[:, 0] == 0).any()
    assert (labels[:, 1] == 2).any()


def test_the_loss_is_the_sum_of_the_detectors_losses() -> None:
    asked: list[Any] = []

    def module(images: Any, targets: Any) -> dict[str, Any]:
        asked.append(targets)
        return {"one": images.sum() * 0 + 1.5, "other": torch.tensor(2.0)}

    boxes = torch.tensor([[[3.0, 10, 10, 30, 30], [0, 0, 0, 0, 0]]])
    assert float(detection.loss(module, torch.zeros(1, 3, 40, 40), boxes)) == 3.5  # type: ignore[arg-type]
    ((target,),) = asked
    assert target["labels"].tolist() == [3]
    assert target["boxes"].shape == (1, 4)


def answers(*entries: tuple[float, float, float, float, int, float]) -> Outputs:
    array = np.array(entries, np.float64).reshape(-1, 6)
    padded = np.zeros((1, 4, 6))
    padded[0, : len(array)] = array
    return [padded[..., :4], padded[..., 4].astype(int), padded[..., 5]]


def test_detectors_are_compared_whatever_the_order() -> None:
    one = answers((0, 0, 10, 10, 1, 0.9), (20, 0, 30, 10, 2, 0.8))
    other = answers((20, 0, 30.25, 10, 2, 0.85), (0, 0, 10, 10, 1, 0.9))
    assert differences(one, other) == pytest.approx(
        {"boxes": 0.25, "scores": 0.05, "unmatched": 0.0}
    )
    assert differences(one, one) == {"boxes": 0.0, "scores": 0.0, "unmatched": 0.0}
    relabelled = answers((0, 0, 10, 10, 2, 0.9), (20, 0, 30, 10, 2, 0.8))
    assert differences(one, relabelled)["unmatched"] == 2.0
    assert differences(answers(), answers()) == {"boxes": 0.0, "scores": 0.0, "unmatched": 0.0}
    assert differences(one, answers())["unmatched"] == 2.0


def test_detections_agree_as_sets(task: Detection) -> None:
    one = answers((0, 0, 10, 10, 1, 0.9), (20, 0, 30, 10, 2, 0.8))
    same = answers((20, 0, 30.4, 10, 2, 0.8), (0, 0, 10, 10, 1, 0.9))
    moved = answers((20, 0, 30.6, 10, 2, 0.8), (0, 0, 10, 10, 1, 0.9))
    assert task.agreement(one, same, "fp32") == pytest.approx(
        {"boxes": 0.4, "scores": 0.0, "unmatched": 0.0}
    )
    with pytest.raises(ParityError, match=r"boxes by 0\.6, 0\.5 is allowed"):
        task.agreement(one, moved, "fp32")
    assert task.agreement(one, moved, "bf16")["boxes"] == pytest.approx(0.6)
    with pytest.raises(ParityError, match="unmatched by 2, 0 is allowed"):
        task.agreement(one, answers(), "fp32")
    broken = answers((np.nan, 0, 10, 10, 1, 0.9), (20, 0, 30, 10, 2, 0.8))
    with pytest.raises(ParityError, match="unmatched by 2"):
        task.agreement(one, broken, "fp32")
    assert Task().agreement(one, same, "fp32") is None


def test_the_trained_detector_fits_into_the_repository() -> None:
    net = faster_rcnn.shufflenet_net()
    assert 2 * sum(parameter.numel() for parameter in net.parameters()) <= 8e6
    assert not net.training
    paths = dict(net.named_modules())
    prefixes = [path for stage in models.STAGES for path in stage.modules]
    assert {path for path in prefixes if path not in paths} == {
        "roi_heads.postprocess_detections",
        "transform.postprocess",
        "stacked",
    }


def test_the_untrained_detector_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(faster_rcnn.CHECKPOINT, raising=False)
    workload = faster_rcnn.faster_rcnn_resnet101()
    assert workload.task.labels == ("untrained", "300 proposals", "100 detections at most")
    assert workload.task.metric_name == ""
    assert [spec.shape for spec in workload.input_spec()] == [(1, 3, 480, 640)]
    given = faster_rcnn.faster_rcnn_resnet101(tmp_path / "mine.pth")
    assert "untrained" not in given.task.labels


def test_checkpoints_that_do_not_fit_are_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"

    def build() -> Any:
        made = faster_rcnn.faster_rcnn_resnet101(path).model.build
        assert made is not None
        return made()

    with pytest.raises(ConfigError, match="there is no such checkpoint"):
        build()
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match="not a checkpoint of tensors alone"):
        build()
    torch.save({"model": {"fc.weight": torch.zeros(2)}}, path)
    with pytest.raises(ConfigError, match="not a checkpoint of torchvision's Faster R-CNN"):
        build()
    torch.save([1, 2], path)
    with pytest.raises(ConfigError, match="not a state_dict"):
        build()


def test_sections_of_photographs_are_seeded() -> None:
    pytest.importorskip("sklearn")
    one = sections(2, 48, 64, 3)
    assert one.shape == (2, 48, 64, 3)
    assert np.array_equal(one, sections(2, 48, 64, 3))
    assert not np.array_equal(one, sections(2, 48, 64, 4))
    assert one.std() > 20


@pytest.fixture
def cells() -> Iterator[Path]:
    yield use_cells()
    forget()


def test_the_cells_score_against_themselves(cells: Path) -> None:
    task = faster_rcnn.faster_rcnn_shufflenet().task
    assert isinstance(task, Detection)
    pictures = iter(task.load("test").pictures)

    def mark(_: Inputs) -> Outputs:
        picture = next(pictures)
        count = len(picture.labels)
        return [picture.boxes[None], picture.labels[None], np.full((1, count), 0.5)]

    rows = task.rows(mark)
    assert len(rows) == 87
    assert task.metric(rows) == pytest.approx(1.0)
    first = task.load("test").pictures[0]
    assert decoded(first.path).shape == (480, 640, 3)


def test_what_cannot_be_used_is_said_with_every_result(squares: Annotations) -> None:
    skips = (Skip("box without extent", "a.xml: cell"), Skip("box without extent", "b.xml: cell"))
    found = replace(squares, skips=skips)
    assert Detection(lambda _: squares, 48, 64).labels == ()
    assert Detection(lambda _: found, 48, 64).labels == (
        "skipped: 2 x box without extent (first: a.xml: cell)",
    )

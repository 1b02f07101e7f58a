"""What tasks declare of their preprocessing is what they do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perfsuite.data.images import how_normalized, normalized
from perfsuite.domain.model import InputSpec
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.domain.suite import DetectionTable
from perfsuite.domain.task import Inputs, Task
from perfsuite.ship import script
from perfsuite.workloads.onnx.detector import DetectorFile
from perfsuite.workloads.table import WORKLOADS
from perfsuite.workloads.tasks.classification import Classification
from perfsuite.workloads.tasks.detection import fitted, how_scaled, scaled
from perfsuite.workloads.tasks.preprocessed import is_compared, preprocessing_fault


def stored(how: Preprocessing, count: int = 16) -> np.ndarray:
    shape = (count, how.height, how.width, how.channels)
    return np.random.default_rng(3).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_a_workloads_declared_preprocessing_is_its_own(name: str) -> None:
    task = WORKLOADS[name]().task
    how = task.preprocessing()
    assert how is not None
    pictures = stored(how)
    if isinstance(task, Classification):
        assert np.array_equal(how(pictures), task.prepare(pictures))
    else:
        asked = [task.from_picture(one)[how.input] for one in pictures[:2]]
        assert np.array_equal(how(pictures[:2]), np.concatenate(asked))


@pytest.mark.parametrize("pixels", ["0-1", "0-255", "imagenet"])
@pytest.mark.parametrize(
    ("dtype", "shape"), [("float32", ("batch", 3, 5, 7)), ("uint8", ("batch", 5, 7, 3))]
)
def test_that_of_a_detector_follows_from_its_table(
    pixels: Any, dtype: str, shape: tuple[int | str, ...]
) -> None:
    table = DetectionTable("boxes.json", "yolov8", pixels=pixels)
    task = DetectorFile(InputSpec("images", dtype, shape), table)
    how = task.preprocessing()
    picture = stored(how, 1)
    found, own = how(picture), task.from_picture(picture[0])["images"]
    assert found.dtype == own.dtype and found.shape == own.shape
    assert np.abs(found.astype(float) - own).max() <= 1e-6


@pytest.mark.parametrize(
    "how",
    [
        how_normalized(4, 6),
        how_scaled(4, 6),
        Preprocessing(4, 6, colours="BGR", layout="NHWC"),
        Preprocessing(4, 6, (1.0,), dtype="uint8"),
        Preprocessing(4, 6, (1.0,), (5.0,), (6.0,), colours="grey"),
    ],
)
def test_the_script_prepares_bit_for_bit_as_the_struct_says(how: Preprocessing) -> None:
    from perfsuite.ship.shipping import described

    own, found = script.prepared(stored(how), described(how)), how(stored(how))
    assert own.dtype == found.dtype and own.tobytes() == found.tobytes()


@pytest.mark.parametrize("size", [(20, 9), (9, 20), (6, 4), (3, 2)])
def test_the_script_opens_a_picture_as_tasks_do(tmp_path: Any, size: tuple[int, int]) -> None:
    from perfsuite.data.images import cropped
    from perfsuite.ship.shipping import described

    picture = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "one.png")
    crop, pad = how_normalized(4, 6), how_scaled(4, 6)
    found = script.opened(tmp_path / "one.png", described(crop))
    assert np.array_equal(found[0], cropped(picture, 6, 4))
    found = script.opened(tmp_path / "one.png", described(pad))
    assert np.array_equal(found[0], fitted(picture, 4, 6)[0])
    assert np.array_equal(pad(found), scaled(found))


class Own(Task):
    def __init__(self, how: Preprocessing, name: str = "images", bias: float = 0.0) -> None:
        self.how, self.name, self.bias = how, name, bias

    def preprocessing(self) -> Preprocessing:
        return self.how

    def inputs(self, batch: int, seed: int) -> Inputs:
        return {self.name: self.how(stored(self.how, batch)) + np.float32(self.bias)}

    def from_picture(self, picture: np.ndarray) -> Inputs:
        return {self.name: self.how(picture[None]) + np.float32(self.bias)}


def test_a_contradiction_is_told() -> None:
    how = how_normalized(4, 4)
    assert preprocessing_fault(Task()) == ""
    assert preprocessing_fault(Own(how)) == ""
    assert "and its inputs() {'x': (" in preprocessing_fault(Own(how, "x"))
    assert "they differ by up to 0.01" in preprocessing_fault(Own(how, bias=0.01))
    wrong = Classification(
        lambda split: _Pictures(), normalized, lambda a, b: a, declared=replace_mean(how)
    )
    assert "they differ by up to 0.5" in preprocessing_fault(wrong)
    assert preprocessing_fault(replace(wrong, declared=how)) == ""


class Plain(Own):
    """A task that makes inputs of no picture, as nobody must."""

    def __init__(self, declared: Preprocessing, done: Preprocessing) -> None:
        super().__init__(done)
        self.declared = declared

    def preprocessing(self) -> Preprocessing:
        return self.declared

    from_picture = Task.from_picture


def test_without_pictures_to_compare_inputs_must_be_such_as_pictures_can_give() -> None:
    how, plain = how_normalized(4, 4), Preprocessing(4, 4)
    assert preprocessing_fault(Plain(how, how)) == preprocessing_fault(Plain(plain, plain)) == ""
    told = preprocessing_fault(Plain(plain, how))
    assert re.fullmatch(
        r"its preprocessing\(\) gives values from 0 to 1, and its inputs\(\) has -\S+ to 2\S+", told
    )
    whole = Preprocessing(4, 4, scale=(1.0,))
    assert "from 0 to 1, and its inputs() has" in preprocessing_fault(Plain(plain, whole))
    assert (is_compared(Own(how)), is_compared(Plain(how, how)), is_compared(Task())) == (
        True,
        False,
        False,
    )


def replace_mean(how: Preprocessing) -> Preprocessing:
    return Preprocessing(4, 4, how.scale, tuple(one + 0.5 for one in how.mean), how.std)


class _Pictures:
    images = stored(how_normalized(4, 4), 8)
    labels = np.zeros(8, np.int64)

"""Declared stages held against a model, and pictures as inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfsuite.domain.model import Stage
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.runner.build.pictures import read_picture
from perfsuite.runner.build.stages import check, paths, spans
from perfsuite.workloads.tasks.classification import Classification, LabelledPictures


def test_stages_that_do_not_fit_are_told_with_their_workload() -> None:
    nodes = ["backbone.conv1", "backbone.layer1.0", "", "rpn.head"]
    check("net", [Stage("a", ("backbone",)), Stage("b", ("rpn.head",))], nodes)
    with pytest.raises(ConfigError, match=r"^net: stage 'a': .* 'bakbone'; did you mean 'backb"):
        check("net", [Stage("a", ("bakbone",))], nodes)
    with pytest.raises(ConfigError, match=r"^net: stages 'a' and 'b' both have the prefix 'rpn'"):
        check("net", [Stage("a", ("rpn",)), Stage("b", ("rpn",))], nodes)


def test_prefixes_of_a_module_and_its_methods() -> None:
    from torch import Tensor, nn

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.choose(self.conv(x))

        def choose(self, x: Tensor) -> Tensor:
            return x.clamp(min=0)

    net = nn.Sequential()
    net.add_module("head", Head())
    stages = [Stage("conv", ("head.conv",)), Stage("choice", ("head.choose",))]
    check("net", stages, paths(stages, net))
    assert spans(stages, net) == ("head.choose",)
    wrong = [Stage("s", ("head.chose",))]
    with pytest.raises(ConfigError, match=r"net: stage 's': .*'head\.chose'"):
        check("net", wrong, paths(wrong, net))
    # After a pass has put another module in its place.
    net.head = nn.Identity()
    assert spans(stages, net) == ()


def save(path: Path, size: tuple[int, int], mode: str = "RGB", colour: object = "red") -> Path:
    from PIL import Image

    Image.new(mode, size, colour).save(path)  # type: ignore[arg-type]
    return path


def test_a_picture_is_read_as_rgb(tmp_path: Path) -> None:
    picture = read_picture(save(tmp_path / "a.png", (4, 3)))
    assert (picture.shape, picture.dtype) == ((3, 4, 3), np.uint8)
    assert picture[0, 0].tolist() == [255, 0, 0]
    grey = read_picture(save(tmp_path / "b.png", (2, 2), "L", 7))
    assert grey.tolist() == [[[7] * 3] * 2] * 2


def test_a_camera_that_was_held_upright(tmp_path: Path) -> None:
    from PIL import Image

    picture = Image.new("RGB", (4, 2))
    exif = picture.getexif()
    exif[0x0112] = 6  # EXIF 2.3, orientation: turned by a quarter
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg").shape == (4, 2, 3)


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.jpg: this picture cannot be read: .*No such"):
        read_picture(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("text")
    with pytest.raises(ConfigError, match=r"text\.jpg: not a picture in a format"):
        read_picture(tmp_path / "text.jpg")
    whole = save(tmp_path / "whole.jpg", (64, 64)).read_bytes()
    (tmp_path / "torn.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    with pytest.raises(ConfigError, match=r"torn\.jpg: this picture cannot .*(?i:truncated)"):
        read_picture(tmp_path / "torn.jpg")


def task(channels: int) -> Classification:
    from perfsuite.data.samples import Samples as Stored

    def load(split: str) -> LabelledPictures:
        return Stored(np.zeros((5, 4, 4, channels), np.uint8), np.zeros(5, np.uint8))

    def prepare(pictures: np.ndarray) -> np.ndarray:
        return pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255.0

    return Classification(load, prepare, lambda pictures, rng: pictures)


def test_a_classifier_takes_the_middle_of_a_picture() -> None:
    """Twice as wide as high: its left half is black, its right half white."""
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, 20:] = 255
    given = task(3).from_picture(picture)["images"]
    assert (given.shape, given.dtype) == ((1, 3, 4, 4), np.float32)
    assert given[0, 0, 0].tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0], abs=0.2)


def test_a_data_set_of_its_own_values_takes_none() -> None:
    with pytest.raises(Unsupported, match="its pictures have 1 channel"):
        task(1).from_picture(np.zeros((8, 8, 3), np.uint8))

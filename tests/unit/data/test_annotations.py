"""Boxes of VOC and COCO files: what is whole is read, what is broken is counted and named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blood_cells import forget, use_cells

from perfsuite.data import bccd
from perfsuite.data.annotations import Annotations, Collector, decoded
from perfsuite.data.coco import load_coco
from perfsuite.data.voc import load_voc
from perfsuite.errors import ConfigError, Unavailable

Image = pytest.importorskip("PIL.Image")
CLASSES = ("cat", "dog")
Entry = tuple[str, list[tuple[str, float, float, float, float]]]  # VOC corners, from 1, inclusive


def picture(path: Path, width: int = 40, height: int = 30) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(path)


def xml(boxes: list[tuple[str, float, float, float, float]], extra: str = "") -> str:
    objects = "".join(
        f"<object><name>{name}</name>{extra}<bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, x, y, right, bottom in boxes
    )
    return f"<annotation>{objects}</annotation>"


@pytest.fixture
def voc(tmp_path: Path) -> Callable[[list[Entry]], Path]:
    def make(entries: list[Entry]) -> Path:
        for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
        for name, boxes in entries:
            picture(tmp_path / "JPEGImages" / f"{name}.jpg")
            (tmp_path / "Annotations" / f"{name}.xml").write_text(xml(boxes))
        listed = "".join(f"{name}\n" for name, _ in entries)
        (tmp_path / "ImageSets" / "Main" / "train.txt").write_text(listed)
        return tmp_path

    return make


WHOLE: Entry = ("whole", [("dog", 1, 1, 10, 20), ("cat", 5, 6, 40, 30)])


def test_voc_counts_pixels_from_one_and_means_both_ends(voc: Any) -> None:
    found = load_voc(voc([WHOLE]), "train", CLASSES)
    (only,) = found.pictures
    assert only.boxes.tolist() == [[0, 0, 10, 20], [4, 5, 40, 30]]
    assert only.labels.tolist() == [2, 1]
    assert only.ignored.tolist() == [False, False]
    assert (only.width, only.height) == (40, 30)
    assert found.skips == ()
    assert found.report() == ""


def test_difficult_boxes_are_ignored_ones(voc: Any) -> None:
    folder = voc([WHOLE])
    text = xml(WHOLE[1], extra="<difficult>1</difficult>")
    (folder / "Annotations" / "whole.xml").write_text(text)
    assert load_voc(folder, "train", CLASSES).pictures[0].ignored.tolist() == [True, True]


def test_each_broken_thing_is_one_named_skip_and_the_rest_stays(voc: Any) -> None:
    boxes = [
        ("dog", 1, 1, 10, 20),
        ("dgo", 1, 1, 10, 20),
        ("dog", 7, 7, 7, 7),
        ("dog", 50, 5, 60, 10),
        ("dog", 30, 20, 60, 50),
        ("dog", float("nan"), 1, 10, 20),
    ]
    names = ("gone", "torn", "unmarked", "garbled")
    folder = voc([("boxes", boxes), *((name, WHOLE[1]) for name in names)])
    (folder / "JPEGImages" / "gone.jpg").unlink()
    torn = folder / "JPEGImages" / "torn.jpg"
    torn.write_bytes(torn.read_bytes()[:400])
    (folder / "Annotations" / "unmarked.xml").unlink()
    (folder / "Annotations" / "garbled.xml").write_text("<annotation><object>")
    found = load_voc(folder, "train", CLASSES)
    assert found.counts() == {
        "unknown class (known: cat, dog)": 1,
        "box without extent": 1,
        "box outside the picture": 1,
        "box reaches beyond the picture: cut to it": 1,
        "box is not made of numbers": 1,
        "picture is missing": 1,
        "picture cannot be read or is cut short": 1,
        "annotation is missing": 1,
        "annotation is not valid XML": 1,
    }
    (only,) = found.pictures
    assert only.boxes.tolist() == [[0, 0, 10, 20], [29, 19, 40, 30]]
    gone = folder / "JPEGImages" / "gone.jpg"
    assert f"1 x picture is missing (first: gone.xml: {gone})" in found.report().splitlines()


def test_nothing_left_is_an_error_that_says_why(voc: Any) -> None:
    folder = voc([("one", [("dog", 3, 3, 3, 3)])])
    with pytest.raises(ConfigError, match=r"no picture with a box is left: 1 x box without extent"):
        load_voc(folder, "train", CLASSES)


def test_a_picture_without_boxes_is_kept_beside_others(voc: Any) -> None:
    found = load_voc(voc([WHOLE, ("empty", [])]), "train", CLASSES)
    assert [len(entry.boxes) for entry in found.pictures] == [2, 0]
    assert found.pictures[1].boxes.shape == (0, 4)


def test_a_list_that_is_not_there_is_told_with_those_that_are(voc: Any) -> None:
    with pytest.raises(ConfigError, match=r"has no list trian\.txt; did you mean 'train'"):
        load_voc(voc([WHOLE]), "trian", CLASSES)


def test_the_fingerprint_follows_boxes_and_pictures(voc: Any) -> None:
    folder = voc([WHOLE])
    before = load_voc(folder, "train", CLASSES)
    assert load_voc(folder, "train", CLASSES).fingerprint() == before.fingerprint()
    (folder / "Annotations" / "whole.xml").write_text(xml([("dog", 1, 1, 10, 21)]))
    moved = load_voc(folder, "train", CLASSES).fingerprint()
    picture(folder / "JPEGImages" / "whole.jpg", width=41)
    other = load_voc(folder, "train", CLASSES).fingerprint()
    assert len({before.fingerprint(), moved, other}) == 3


def coco(folder: Path, **changes: Any) -> Annotations:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
        "annotations": [
            {"image_id": 7, "category_id": 18, "bbox": [2, 3, 10, 20], "iscrowd": 0, "id": 1},
            {"image_id": 7, "category_id": 17, "bbox": [0.5, 0, 4, 5.5], "iscrowd": 1},
        ],
    } | changes
    picture(folder / "a.jpg")
    (folder / "boxes.json").write_text(json.dumps(content))
    return load_coco(folder / "boxes.json", folder)


def test_coco_gives_corners_and_classes_in_the_order_of_their_ids(tmp_path: Path) -> None:
    found = coco(tmp_path)
    (only,) = found.pictures
    assert found.classes == ("cat", "dog")
    assert only.boxes.tolist() == [[2, 3, 12, 23], [0.5, 0, 4.5, 5.5]]
    assert only.labels.tolist() == [2, 1]
    assert only.ignored.tolist() == [False, True]


def test_what_is_broken_in_a_coco_file_is_counted(tmp_path: Path) -> None:
    good = {"image_id": 7, "category_id": 18, "bbox": [2, 3, 10, 20]}
    found = coco(
        tmp_path,
        images=[{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "b.jpg"}, {"id": 9}],
        annotations=[
            good,
            good | {"bbox": [2, 3, 10]},
            good | {"image_id": 99},
            good | {"category_id": 4},
            good | {"bbox": [2, 3, 0, 20]},
        ],
    )
    assert [len(entry.boxes) for entry in found.pictures] == [1]
    assert sorted(reason.partition(" (")[0] for reason in found.counts()) == [
        "annotation of a picture that is not listed",
        "box without extent",
        "malformed annotation",
        "malformed image",
        "picture is missing",
        "unknown class",
    ]


def test_a_second_picture_of_one_id_is_counted_and_the_first_is_kept(tmp_path: Path) -> None:
    twice = [{"id": 7, "file_name": "a.jpg"}, {"id": 7, "file_name": "b.jpg"}]
    found = coco(tmp_path, images=twice)
    assert [one.path.name for one in found.pictures] == ["a.jpg"]
    assert found.report() == "1 x second picture of one id (first: boxes.json: images[1])"


def test_categories_of_one_name_stay_apart(tmp_path: Path) -> None:
    found = coco(tmp_path, categories=[{"id": 18, "name": "dog"}, {"id": 17, "name": "dog"}])
    assert found.classes == ("dog (17)", "dog (18)") and found.ids == (17, 18)
    assert found.pictures[0].labels.tolist() == [2, 1]


def test_boxes_of_a_picture_of_another_size_are_not_believed(tmp_path: Path) -> None:
    other = {"id": 8, "file_name": "a.jpg", "width": 80, "height": 60}
    said = [{"id": 7, "file_name": "a.jpg", "width": 40, "height": 30}, other]
    found = coco(tmp_path, images=[*said, {"id": 9, "file_name": "a.jpg", "width": None}])
    assert len(found.pictures) == 2
    assert found.report() == (
        f"1 x picture of another size than its annotations (first: boxes.json: image 8: "
        f"{tmp_path / 'a.jpg'} is 40 x 30 pixels, and 80 x 60 are stated)"
    )


def test_voc_pictures_of_another_size_are_skipped_too(voc: Any) -> None:
    folder = voc([WHOLE, ("small", WHOLE[1])])
    stated = "<annotation><size><width>400</width><height>300</height></size>"
    text = xml(WHOLE[1]).replace("<annotation>", stated)
    (folder / "Annotations" / "small.xml").write_text(text)
    found = load_voc(folder, "train", CLASSES)
    assert [one.path.stem for one in found.pictures] == ["whole"]
    assert found.counts() == {"picture of another size than its annotations": 1}


def test_a_picture_is_turned_where_its_boxes_are_those_of_the_turned_one(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter clockwise
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[:, :8] = 255  # on the left as stored, at the top when turned
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    images = [
        {"id": 7, "file_name": "turned.png", "width": 30, "height": 40},
        {"id": 8, "file_name": "turned.png", "width": 40, "height": 30},
    ]
    turned, stored = coco(tmp_path, images=images).pictures
    assert (turned.width, turned.height, stored.width, stored.height) == (30, 40, 40, 30)
    assert turned.pixels()[:8].min() == 255 and turned.pixels()[8:].max() == 0
    np.testing.assert_array_equal(stored.pixels(), pixels)


@pytest.mark.parametrize("text", ["", "{", '{"images": []}', "[]", '{"images": 3}'])
def test_what_is_no_coco_file_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"not a COCO file.*images, annotations and categories"):
        load_coco(path, tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_coco(tmp_path / "none.json", tmp_path)


@pytest.mark.parametrize("encoding", ["GBK", "bogus"])
def test_an_annotation_in_an_encoding_that_is_not_known_is_one_skip(
    voc: Any, encoding: str
) -> None:
    folder = voc([WHOLE, ("odd", [("dog", 1, 1, 5, 5)])])
    (folder / "Annotations" / "odd.xml").write_text(f"<?xml version='1.0' encoding='{encoding}'?>")
    assert load_voc(folder, "train", CLASSES).counts() == {"annotation is not valid XML": 1}


def test_names_that_no_file_can_have_are_missing_pictures(tmp_path: Path) -> None:
    collector = Collector(CLASSES)
    for name in ("a" * 300 + ".jpg", "nul\0.jpg"):
        collector.add(tmp_path / name, [], "list")
    assert [skip.reason for skip in collector.skips] == ["picture is missing"] * 2


def test_a_list_that_is_no_text_is_told(voc: Any) -> None:
    folder = voc([WHOLE])
    (folder / "ImageSets" / "Main" / "train.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"train\.txt: not a list in UTF-8"):
        load_voc(folder, "train", CLASSES)


def test_sixteen_bits_are_brought_to_eight(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 12).astype(np.uint16).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    found = decoded(tmp_path / "deep.png")
    assert (
        found.shape == (3, 4, 3) and found[..., 0].ravel().tolist() == (grey.ravel() >> 8).tolist()
    )
    Image.fromarray(np.zeros((3, 4), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(ConfigError, match="no known range; save it in 8 bits"):
        decoded(tmp_path / "float.tiff")


def test_pictures_of_other_kinds_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (5, 4), 200).save(tmp_path / "grey.png")
    assert decoded(tmp_path / "grey.png").shape == (4, 5, 3)
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(ConfigError, match=r"text\.jpg: not a picture, or cut short"):
        decoded(tmp_path / "text.jpg")


def test_without_the_cells_it_is_said_where_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFSUITE_BCCD", str(tmp_path))
    with pytest.raises(Unavailable, match="set PERFSUITE_BCCD to the folder"):
        bccd.folder()


@pytest.fixture
def cells() -> Iterator[Path]:
    yield use_cells()
    forget()


def test_the_cells_are_split_without_overlap(cells: Path) -> None:
    splits = {name: bccd.load(name) for name in ("train", "calibration", "test")}
    names = {split: {entry.path.name for entry in got.pictures} for split, got in splits.items()}
    assert {split: len(found) for split, found in names.items()} == {
        "train": 185,
        "calibration": 20,
        "test": 87,
    }
    assert not names["train"] & names["calibration"] | names["calibration"] & names["test"]
    assert not names["train"] & names["test"]
    boxes = sum(len(entry.boxes) for got in splits.values() for entry in got.pictures)
    skipped = splits["train"].skips + splits["test"].skips
    assert boxes == 3941  # of 3943: two boxes have no extent
    assert sum(skip.reason == "box without extent" for skip in skipped) == 2
    assert len(skipped) == 2

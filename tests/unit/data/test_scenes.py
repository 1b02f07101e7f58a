"""Composed scenes: what is in them is where it is said to be, and captions say it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_items import plain_items, shade  # noqa: F401  (a fixture)

from perfsuite.data import scenes
from perfsuite.data.samples import SPLITS
from perfsuite.data.scenes import PAIR, TRAFFIC, SceneItem
from perfsuite.errors import ConfigError

FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def composed(plain_items: None) -> Iterator[None]:  # noqa: F811
    yield


def overlapping(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.all(np.minimum(one[2:], other[2:]) > np.maximum(one[:2], other[:2])))


@FEW
@given(st.sampled_from(SPLITS), st.integers(0, 10_000))
def test_traffic_has_vehicles_of_several_sizes_that_do_not_overlap(split: str, index: int) -> None:
    items = scenes.traffic(split, index)
    assert items == scenes.traffic(split, index)
    vehicles = [item for item in items if item.label in scenes.VEHICLES]
    assert 1 <= len(vehicles) <= 4
    assert len(items) - len(vehicles) <= 2
    boxes = scenes.boxes_of(items)
    assert boxes.min() >= -1e-3
    assert boxes.max() <= 96 + 1e-3
    for place, box in enumerate(boxes):
        assert 18 <= items[place].size <= 40
        assert not any(overlapping(box, other) for other in boxes[:place])


@FEW
@given(st.sampled_from(SPLITS), st.integers(0, 10_000))
def test_captions_say_what_is_in_a_pair(split: str, index: int) -> None:
    items = scenes.pair(split, index)
    words = scenes.caption(items)
    text = " ".join(word.text for word in words)
    named = [scenes.NAMES[item.label] for item in items]
    sizes = ["small" if item.size <= 20 else "large" for item in items]
    parts = [f"a {size} {name}" for size, name in zip(sizes, named, strict=True)]
    if len(items) == 1:
        assert text == parts[0]
        return
    (x0, y0), (x1, y1) = items[0].middle, items[1].middle
    relation = text.removeprefix(parts[0]).removesuffix(parts[1]).strip()
    assert {
        "left of": x0 < x1 - abs(y0 - y1),
        "right of": x0 > x1 + abs(y0 - y1),
        "above": y0 < y1 - abs(x0 - x1),
        "below": y0 > y1 + abs(x0 - x1),
    }[relation]
    assert sizes == ["large", "small"]
    for word in words:
        if word.item is not None:
            assert word.text in (sizes[word.item], named[word.item])
    assert sum(word.item is not None for word in words) == 4


def item(label: int, x: float, y: float, size: float = 30.0) -> SceneItem:
    return SceneItem(0, label, (x, y), size, 0.0, False)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ((50, 20), "a large dog left of a small truck"),
        ((2, 30), "a large dog right of a small truck"),
        ((22, 60), "a large dog above a small truck"),
        ((18, 1), "a large dog below a small truck"),
    ],
)
def test_captions_by_hand(other: tuple[float, float], text: str) -> None:
    words = scenes.caption((item(5, 20, 20), item(9, *other, 18)))
    assert " ".join(word.text for word in words) == text
    assert [word.item for word in words][:3] == [None, 0, 0]
    assert [word.item for word in words][-3:] == [None, 1, 1]


def test_boxes_by_hand() -> None:
    straight = item(0, 40, 30, 20)
    assert straight.box() == (30, 20, 50, 40)
    # A tangent of the half of 1/3 is one of 3/4: cosine 4/5, sine 3/5.
    assert straight._replace(tilt=1 / 3).turn() == pytest.approx((0.8, 0.6))
    assert straight._replace(tilt=-1 / 3).box() == pytest.approx((26, 16, 54, 44))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", [TRAFFIC, PAIR])
def test_items_are_painted_where_they_are_and_of_their_split(kind: scenes.Kind, split: str) -> None:
    draw = scenes.traffic if kind is TRAFFIC else scenes.pair
    for index in range(20):
        items = draw(split, index)
        scene = scenes.paint(kind, split, index, items)
        assert scene.shape == (kind.side, kind.side, 3)
        assert np.array_equal(scene, scenes.paint(kind, split, index, items))
        for one in items:
            x, y = (int(part) for part in one.middle)
            # Noise is at most 3, and values are cut off to integers.
            assert np.abs(scene[y, x].astype(int) - shade(split, one.label)).max() <= 4
        empty = scenes.paint(kind, split, index, ())
        covered = np.zeros(scene.shape[:2], bool)
        for left, top, right, bottom in scenes.boxes_of(items):
            covered[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = True
        assert np.array_equal(scene[~covered], empty[~covered])


def test_a_picture_is_pasted_upright_turned_and_mirrored() -> None:
    picture = np.zeros((32, 32, 3), np.float32)
    picture[:16, :16] = 200  # light in the upper left

    def corners(one: SceneItem) -> list[bool]:
        scene = np.full((72, 72, 3), 50, np.float32)
        scenes._paste(scene, picture, one)
        return [bool(scene[y, x, 0] > 100) for y, x in ((30, 30), (30, 42), (42, 30), (42, 42))]

    one = item(0, 36, 36, 32)
    assert corners(one) == [True, False, False, False]
    assert corners(one._replace(mirrored=True)) == [False, True, False, False]
    assert corners(one._replace(tilt=1.0)) == [False, True, False, False]  # a quarter, clockwise
    assert corners(one._replace(size=20.0, middle=(36.0, 36.0)))[0]


def test_scenes_need_the_pictures_they_are_composed_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(split: str) -> None:
        raise ConfigError("CIFAR-10 is not here")

    monkeypatch.setattr(scenes.cifar10, "load", missing)
    scenes._pictures.cache_clear()
    scenes._numbers.cache_clear()
    with pytest.raises(ConfigError, match="CIFAR-10 is not here"):
        scenes.traffic("test", 0)


def test_the_fingerprint_follows_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    before = scenes.fingerprint()
    monkeypatch.setattr(scenes.cifar10, "fingerprint", lambda: "other pictures")
    assert scenes.fingerprint() != before

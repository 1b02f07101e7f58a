"""Generated whales: who is on which picture, and where exactly."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.data import whales
from perfsuite.data.noise import direction, smooth_noise
from perfsuite.data.samples import SPLITS
from perfsuite.errors import ConfigError


def test_every_individual_is_in_training_and_most_are_rare() -> None:
    counts = np.bincount(whales.labels_of("train"), minlength=427)
    assert len(counts) == 427
    assert (counts.min(), counts.max(), counts.sum()) == (1, 47, 4978)
    assert np.sum(counts == 1) == 149
    for split, wanted in (("calibration", 256), ("test", 1000)):
        labels = whales.labels_of(split)
        assert len(labels) == wanted
        assert set(labels) <= set(range(427))


def test_individuals_are_not_numbered_by_how_often_they_are_seen() -> None:
    counts = np.bincount(whales.labels_of("train"))
    assert not np.all(np.diff(counts) <= 0)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(SPLITS), st.integers(0, 200), st.integers(0, 426))
def test_a_picture_follows_from_its_number_and_its_truth_lies_in_it(
    split: str, index: int, individual: int
) -> None:
    whale, again = (whales.draw(split, index, individual) for _ in range(2))
    assert np.array_equal(whale.image, again.image)
    assert whale.image.shape == (128, 128, 3)
    assert whale.image.dtype == np.uint8
    left, top, right, bottom = whale.box
    assert 0 <= left < right <= 128
    assert 0 <= top < bottom <= 128
    assert 17 <= np.linalg.norm(whale.points[0] - whale.points[1]) <= 25
    assert np.all(whale.points > whale.box[:2])
    assert np.all(whale.points < whale.box[2:])


def test_numbers_splits_and_individuals_make_other_pictures() -> None:
    one = whales.draw("train", 0, 5)
    for other in (whales.draw("train", 1, 5), whales.draw("test", 0, 5)):
        assert np.abs(one.points - other.points).max() > 1
    other = whales.draw("train", 0, 6)  # the same sea, the same place: another pattern
    assert np.array_equal(one.points, other.points)
    left, top, right, bottom = one.box.astype(int)
    inside = np.s_[top:bottom, left:right]
    differs = np.any(one.image != other.image, axis=2)
    assert differs[inside].sum() > 20
    differs[inside] = False
    assert differs.sum() == 0


def test_patterns_tell_all_individuals_apart() -> None:
    textures = whales._textures().reshape(427, -1).astype(np.float64)
    squares = (textures**2).sum(1)
    distances = squares[:, None] + squares - 2 * textures @ textures.T
    np.fill_diagonal(distances, np.inf)
    typical = np.median(distances)
    assert distances.min() > 0.15 * typical


def test_a_head_that_points_to_the_right_has_its_box_by_hand() -> None:
    frame = whales._Frame((50.0, 60.0), 1.0, 0.0, 20.0)
    assert frame.head_box().tolist() == [42.0, 48.0, 76.0, 72.0]  # -0.4, 1.3 and 0.6 times 20
    along, across = frame.along_and_across(np.array([70.0]), np.array([50.0]))
    assert (along.item(), across.item()) == (1.0, -0.5)
    turned = whales._Frame((50.0, 60.0), 0.0, 1.0, 20.0)  # downwards
    assert turned.head_box().tolist() == [38.0, 52.0, 62.0, 86.0]


def test_both_ends_are_lighter_than_the_skin_between_patches() -> None:
    light = [whales._texture_at(i, np.array([0.0, 1.0]), np.array([0.1, 0.0])) for i in range(50)]
    assert np.min(light) > 0.5
    assert np.median(whales._textures()) == 0


def test_pictures_are_the_same_to_the_last_bit_everywhere() -> None:
    found = hashlib.sha256()
    for split in SPLITS:
        for index in range(3):
            whale = whales.draw(split, index, int(whales.labels_of(split)[index]))
            found.update(whale.image.tobytes() + whale.box.tobytes() + whale.points.tobytes())
    assert found.hexdigest() == GOLDEN, "raise whales.VERSION, then put the new digest here"


def test_directions_are_of_length_one_and_go_everywhere() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([direction(rng) for _ in range(2000)])
    assert np.allclose((drawn**2).sum(1), 1)
    assert np.histogram(np.arctan2(*drawn.T), bins=8)[0].min() > 180  # 250 on average


def test_noise_is_smooth_and_meets_its_grid() -> None:
    rng = np.random.default_rng(0)
    values = np.random.default_rng(0).random((3, 3), dtype=np.float32)
    noise = smooth_noise(rng, 2, 2, 4)
    # The first pixel's middle is a quarter of a cell from the corner.
    by_hand = (9 * values[0, 0] + 3 * values[0, 1] + 3 * values[1, 0] + values[1, 1]) / 16
    assert noise[0, 0] == pytest.approx(by_hand)
    assert noise.shape == (4, 4)


def test_an_unknown_split_is_told() -> None:
    with pytest.raises(ConfigError, match=r"'tests'.*did you mean 'test'"):
        whales.labels_of("tests")


GOLDEN = "fd5552c25f1f4a48035de65f52609ab9cfc53997087bfdd9cf7ea4018f96fb0b"

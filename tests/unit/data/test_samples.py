"""The splits of data sets: a tenth of training, and validation samples that nothing else sees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfsuite.data import cifar10, digits, scenes, whales
from perfsuite.data.samples import SEEDS, WITH_VALIDATION, held_out_tenth
from perfsuite.domain.task import KEPT_FOR_CALIBRATION
from perfsuite.errors import ConfigError


@given(st.integers(1, 500))
def test_a_tenth_is_held_out(count: int) -> None:
    places = held_out_tenth(count)
    assert len(places) == -(-count // 10)
    assert sorted(set(places.tolist())) == places.tolist()
    assert 0 <= places[0] <= places[-1] < count
    assert np.array_equal(places, held_out_tenth(count))


def test_the_tenth_is_no_piece_of_the_set() -> None:
    assert np.diff(held_out_tenth(1000)).max() < 100, "sorted training samples are of one class"


def test_every_split_has_a_seed_of_its_own() -> None:
    assert set(SEEDS) == set(WITH_VALIDATION)
    assert len({*SEEDS.values(), whales._PATCHES}) == len(SEEDS) + 1
    assert [SEEDS[split] for split in WITH_VALIDATION[:3]] == [0, 1, 2], "as they were"


def test_validation_of_cifar10_is_what_calibration_does_not_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numbers stand for pictures; 60 of 100 are for calibration, and it needs 20 of these."""
    numbers = np.arange(100)
    monkeypatch.setattr(cifar10, "is_there", lambda: True)
    monkeypatch.setattr(cifar10, "_trusted", lambda stem: numbers)
    monkeypatch.setattr(cifar10, "HELD_OUT", 60)
    monkeypatch.setattr(cifar10, "KEPT_FOR_CALIBRATION", 20)
    train, calibration, validation = (
        cifar10.load(split).images.tolist() for split in ("train", "calibration", "validation")
    )
    assert validation == calibration[20:]
    assert len(validation) == 40
    assert not {*validation} & {*train, *calibration[:20]}
    assert cifar10.load("validation").labels.tolist() == validation


def test_cifar10_keeps_five_hundred_for_calibration() -> None:
    assert (KEPT_FOR_CALIBRATION, cifar10.HELD_OUT) == (500, 2000)


def test_generated_validation_samples_are_none_of_the_others() -> None:
    labels = {split: whales.labels_of(split) for split in WITH_VALIDATION}
    assert len(labels["validation"]) == whales.VALIDATION
    drawn = {whales.draw(split, 0, 7).image.tobytes() for split in WITH_VALIDATION}
    assert len(drawn) == len(WITH_VALIDATION)
    generators = [
        scenes._generator(scenes.PAIR, split, 0, 0).random(4).tobytes() for split in SEEDS
    ]
    assert len(set(generators)) == len(SEEDS)


def test_data_without_validation_samples_of_their_own_say_so() -> None:
    with pytest.raises(ConfigError, match="unknown split 'validation'"):
        digits.load("validation")

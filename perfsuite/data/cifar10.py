"""CIFAR-10 (Krizhevsky 2009): 60,000 RGB pictures of 32x32 in ten classes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from perfsuite.data import stamps
from perfsuite.data.samples import WITH_VALIDATION, FetchProgress, check_split
from perfsuite.data.samples import Samples as Samples
from perfsuite.domain.task import KEPT_FOR_CALIBRATION
from perfsuite.errors import SchemaError, Unavailable
from perfsuite.store.places import data_dir

HELD_OUT = 2000  # training pictures that calibration uses and training never sees

NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

GET = "perfsuite data get cifar10"

SHAPES: dict[str, tuple[int, ...]] = {
    "train_images": (50000, 32, 32, 3),
    "train_labels": (50000,),
    "test_images": (10000, 32, 32, 3),
    "test_labels": (10000,),
}

# SHA-256 of the uint8 arrays, C-ordered: training samples as `canonical` sorts them, test samples
# in the order in which they were published.
DIGESTS = {
    "train_images": "81fc97c68fd7ab60488a72ea8d7d00e7c5ae246188d12a2d4f82f4eadb661686",
    "train_labels": "616efc995fc26d4a85faf192473aed601843cfc875550f97eb4a834806675804",
    "test_images": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}


def load(split: str) -> Samples:
    """Return the samples of `split`: `train` (48,000), `calibration` (2,000) or `test` (10,000).

    The three are disjoint. `validation` (1,500) are the last of `calibration`: where something is
    chosen by them, calibration has the first 500. Test samples are memory-mapped, in the published
    order. Calibration samples are in random order, because stored training samples are sorted by
    content. Files that were changed since their last verification are verified. Raises
    `Unavailable` if the data set is missing, `SchemaError` if its content is wrong.
    """
    check_split(split, WITH_VALIDATION)
    if not is_there():
        raise Unavailable(f"CIFAR-10 is not here; run: {GET}")
    stem = "test" if split == "test" else "train"
    images, labels = _trusted(f"{stem}_images"), _trusted(f"{stem}_labels")
    if split == "test":
        return Samples(images, labels)
    order = np.random.default_rng(0).permutation(len(images))
    chosen = {
        "train": np.sort(order[HELD_OUT:]),
        "calibration": order[:HELD_OUT],
        "validation": order[KEPT_FOR_CALIBRATION:HELD_OUT],
    }[split]
    return Samples(images[chosen], labels[chosen])


def is_there() -> bool:
    """Tell whether all files are stored; `verify` checks their content."""
    return all(_path(stem).is_file() for stem in SHAPES)


def fingerprint() -> str:
    """Return a text that changes when the samples of any split do."""
    return f"cifar10 {' '.join(DIGESTS.values())} held_out={HELD_OUT}"


def verify(progress: FetchProgress) -> Path:
    """Return the folder of the data set; raise `SchemaError` unless its content is CIFAR-10's."""
    for stem in SHAPES:
        _verified(stem, progress)
    return data_dir("cifar10")


def _trusted(stem: str) -> np.ndarray:
    """Return one stored array, verified if it was changed since its last verification."""
    if stamps.is_known(_path(stem), DIGESTS[stem]):
        return _open(stem)
    return _verified(stem, lambda what, done, total: None)


def _verified(stem: str, progress: FetchProgress) -> np.ndarray:
    """Return one stored array after verifying all of it; the result is remembered."""
    path = _path(stem)
    array, stamp = _open(stem), stamps.stamp(path, DIGESTS[stem])
    if not is_right(stem, array, progress):
        raise SchemaError(
            f"{path}: is corrupt: its content is not CIFAR-10's; delete the folder {path.parent} "
            f"and run: {GET}"
        )
    stamps.remember(path, stamp)
    return array


def is_right(stem: str, array: np.ndarray, progress: FetchProgress) -> bool:
    """Tell whether `array` has the content that the file `stem` must have."""
    found = hashlib.sha256()
    for start in range(0, len(array), 2000):
        found.update(array[start : start + 2000].tobytes())
        progress(f"verifying {stem}", min(start + 2000, len(array)), len(array))
    return found.hexdigest() == DIGESTS[stem]


def _path(stem: str) -> Path:
    return data_dir("cifar10") / f"{stem}.npy"


def _open(stem: str) -> np.ndarray:
    """Return one stored array, memory-mapped; its shape and type are checked."""
    path = _path(stem)
    advice = f"delete the folder {path.parent} and run: {GET}"
    try:
        array = open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise SchemaError(f"{path}: cannot be read: {error}; {advice}") from error
    if array.shape != SHAPES[stem] or array.dtype != np.uint8:
        raise SchemaError(
            f"{path}: holds {array.dtype} {array.shape}, not uint8 {SHAPES[stem]}; {advice}"
        )
    return array

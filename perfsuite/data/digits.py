"""Digits (Alpaydin and Kaynak 1998): 1,797 grey pictures of 8x8, inside the scikit-learn package.

A picture's values run from 0 to 16, not to 255: each counts the inked pixels of a 4x4 block of a
32x32 scan.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from perfsuite.data.samples import FetchProgress, Samples, check_split
from perfsuite.data.sklearn_files import sklearn_file
from perfsuite.errors import SchemaError

CALIBRATION, TEST = 200, 500  # samples; the remaining 1,097 are for training

# SHA-256 of the uint8 pictures, then the labels.
DIGEST = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def load(split: str) -> Samples:
    """Return `train` (1097), `calibration` (200) or `test` (500); the three are disjoint.

    Images are uint8 (N, 8, 8, 1) from 0 to 16. Calibration samples are in random order. Raises
    `Unavailable` without scikit-learn.
    """
    check_split(split)
    images, labels = _all()
    order = np.random.default_rng(0).permutation(len(images))
    chosen = {
        "calibration": order[:CALIBRATION],
        "test": np.sort(order[CALIBRATION : CALIBRATION + TEST]),
        "train": np.sort(order[CALIBRATION + TEST :]),
    }[split]
    return Samples(images[chosen], labels[chosen])


def is_there() -> bool:
    """Tell whether scikit-learn, which contains the pictures, is installed."""
    return find_spec("sklearn") is not None


def fetch(progress: FetchProgress) -> Path:
    """Return the folder of the pictures, verified; nothing is downloaded."""
    return verify(progress)


def verify(progress: FetchProgress) -> Path:
    """Return the folder of the pictures; raise `SchemaError` if their content is wrong."""
    images, _ = _all()
    progress("verifying digits", len(images), len(images))
    return _file().parent


def fingerprint() -> str:
    """Return a text that changes when the samples of any split do."""
    return f"digits {DIGEST} calibration={CALIBRATION} test={TEST}"


def _all() -> Samples:
    table = _table().astype(np.uint8)  # a row a sample: 64 values, then the label
    images, labels = table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1]
    if hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() != DIGEST:
        raise SchemaError("digits: this scikit-learn holds other pictures than perfsuite knows")
    return Samples(images, labels)


def _table() -> np.ndarray:
    file = _file()
    if file.is_file():
        return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits  # which knows where another version has them

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target])


def _file() -> Path:
    return sklearn_file("data/digits.csv.gz", "digits")

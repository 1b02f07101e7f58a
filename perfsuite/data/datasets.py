"""The data sets that `perfsuite data get` knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perfsuite.data import cifar10, cifar10_fetch, digits
from perfsuite.data.samples import FetchProgress
from perfsuite.errors import ConfigError
from perfsuite.plugins import suggestion


@dataclass(frozen=True)
class Dataset:
    """A data set and its source.

    `fetch` and `verify` return its folder, verified by content; `is_there` only tells whether its
    files exist; `fingerprint` returns a text for cache keys that changes when its samples do.
    """

    name: str
    summary: str
    source: str  # and licence
    fetch: Callable[[FetchProgress], Path]
    verify: Callable[[FetchProgress], Path]
    is_there: Callable[[], bool]
    fingerprint: Callable[[], str]


DATASETS = {
    "cifar10": Dataset(
        "cifar10",
        "60,000 colour pictures of 32x32 in ten classes, 10,000 of them for testing",
        "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images, "
        "cs.toronto.edu/~kriz/cifar.html; no licence is stated",
        cifar10_fetch.fetch,
        cifar10.verify,
        cifar10.is_there,
        cifar10.fingerprint,
    ),
    "digits": Dataset(
        "digits",
        "1,797 grey pictures of 8x8 of handwritten digits, inside scikit-learn",
        "Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI; CC BY 4.0",
        digits.fetch,
        digits.verify,
        digits.is_there,
        digits.fingerprint,
    ),
}


def get(name: str, progress: FetchProgress) -> Path:
    """Return the folder of the data set `name`, fetched if it is missing, and verified by content.

    `progress(what, done, total)` is called meanwhile; the last call tells the result. Raises
    `ConfigError` for an unknown name, `SchemaError` for files with another content, and
    `Unavailable` if no source has the data set.
    """
    if name not in DATASETS:
        raise ConfigError(f"unknown data set '{name}'{suggestion(name, DATASETS)}")
    dataset = DATASETS[name]
    was_there = dataset.is_there()
    folder = dataset.verify(progress) if was_there else dataset.fetch(progress)
    progress(f"{name} was already here: verified" if was_there else f"{name} verified", 1, 1)
    return folder

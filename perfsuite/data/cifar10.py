"""CIFAR-10 (Krizhevsky 2009): 60,000 RGB pictures of 32x32 in ten classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perfsuite.store.places import data_dir

HELD_OUT = 2000  # training pictures that calibration uses and training never sees


class Samples(NamedTuple):
    """uint8 NHWC `images` and uint8 `labels`, memory-mapped."""

    images: np.ndarray
    labels: np.ndarray


def load(split: str) -> Samples:
    """Return the samples of `split`: `train`, `calibration` or `test`; the three are disjoint."""
    folder = data_dir("cifar10")
    stem = "test" if split == "test" else "train"
    images = np.load(folder / f"{stem}_images.npy", mmap_mode="r")
    labels = np.load(folder / f"{stem}_labels.npy", mmap_mode="r")
    if split == "test":
        return Samples(images, labels)
    order = np.random.default_rng(0).permutation(len(images))
    chosen = np.sort(order[:HELD_OUT] if split == "calibration" else order[HELD_OUT:])
    return Samples(images[chosen], labels[chosen])

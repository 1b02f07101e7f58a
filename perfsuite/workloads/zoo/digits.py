"""Classifiers of scikit-learn's digits: small enough for tests and a first try."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.data import digits
from perfsuite.data.images import shifted_and_flipped
from perfsuite.domain.model import Model, Stage
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.domain.workload import Workload
from perfsuite.workloads.tasks.classification import Classification, LabelledPictures
from perfsuite.workloads.zoo import weights

if TYPE_CHECKING:
    from torch import nn

# Grey values run from 0 to 16; their mean is near 5 and their deviation near 6.
PREPROCESSING = Preprocessing(8, 8, scale=(1.0,), mean=(5.0,), std=(6.0,), colours="grey")
LAYERS: tuple[int | str, ...] = (16, 16, "M", 32, 32, "M", 64, 64, "M")


@cache
def _load(split: str) -> LabelledPictures:
    return digits.load(split)


def _prepare(pictures: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(((pictures - 5.0) / 6.0).astype(np.float32).transpose(0, 3, 1, 2))


def _augment(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return shifted_and_flipped(pictures, rng, pad=1, flip=False)


def net() -> nn.Module:
    """Return the net without its weights: takes float32 (N, 1, 8, 8)."""
    from perfsuite.models.vgg import vgg

    return vgg(LAYERS, channels=1, classes=10)


def vgg_digits() -> Workload:
    """Return `vgg-digits`: six convolutions and a linear layer."""

    def build() -> nn.Module:
        return weights.load(net(), weights.FOLDER / "vgg-digits.safetensors")

    stages = (Stage("features", ("features",)), Stage("classifier", ("flatten", "classifier")))
    task = Classification(
        _load, _prepare, _augment, identity=digits.fingerprint(), declared=PREPROCESSING
    )
    return Workload("vgg-digits", Model(build, stages=stages), task)

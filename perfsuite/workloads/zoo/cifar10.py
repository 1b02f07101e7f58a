"""Classifiers of CIFAR-10."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.data import cifar10
from perfsuite.data.images import how_normalized, normalized, shifted_and_flipped
from perfsuite.domain.model import Model, Stage
from perfsuite.domain.workload import Workload
from perfsuite.models.shufflenet import STAGES
from perfsuite.workloads.tasks.classification import Classification
from perfsuite.workloads.zoo import weights

if TYPE_CHECKING:
    from torch import nn


@cache
def _load(split: str) -> cifar10.Samples:
    return cifar10.load(split)


def _augment(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return shifted_and_flipped(pictures, rng)


def cifar10_task() -> Classification:
    """Return the task of classifying CIFAR-10: inputs are float32 (N, 3, 32, 32), `images`.

    For validation it has 1,500 pictures that training never sees.
    """
    return Classification(
        _load,
        normalized,
        _augment,
        identity=cifar10.fingerprint(),
        has_validation=True,
        declared=how_normalized(32, 32),
        names=cifar10.NAMES,
    )


def vgg16() -> Workload:
    """Return `vgg16-cifar10`: VGG-16 with batch normalization and one linear layer."""

    def build() -> nn.Module:
        from perfsuite.models.vgg import vgg16 as net

        return weights.load(net(), weights.FOLDER / "vgg16-cifar10.safetensors")

    stages = (Stage("features", ("features",)), Stage("classifier", ("flatten", "classifier")))
    return Workload("vgg16-cifar10", Model(build, stages=stages), cifar10_task())


def shufflenet() -> Workload:
    """Return `shufflenet-cifar10`: ShuffleNetV2 x1.0 in its form for 32x32 pictures."""

    def build() -> nn.Module:
        from perfsuite.models.shufflenet import shufflenet_v2_x1_0 as net

        return weights.load(net(), weights.FOLDER / "shufflenet-cifar10.safetensors")

    stages = tuple(Stage(name, (name,)) for name in STAGES)
    return Workload("shufflenet-cifar10", Model(build, stages=stages), cifar10_task())

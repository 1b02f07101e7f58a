"""Identification of 427 generated whales: in four stages, and by one net for whole pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.data import whales
from perfsuite.data.images import how_normalized, normalized
from perfsuite.data.noise import in_other_light
from perfsuite.domain.model import Model, Stage
from perfsuite.domain.task import SYNTHETIC, TrainingSet
from perfsuite.domain.workload import Workload
from perfsuite.training.loop import AdamPlan
from perfsuite.workloads.tasks.classification import Classification
from perfsuite.workloads.zoo import weights

if TYPE_CHECKING:
    from torch import Tensor, nn

STAGES = ("detect", "keypoints", "align", "classify")

PLAN = AdamPlan(epochs=30, batch=64, peak_rate=2e-3, weight_decay=0.05, bf16=False)
PLAIN_PLAN = AdamPlan(epochs=30, batch=64, peak_rate=2e-3, weight_decay=0.05, bf16=False)

# The deviation of positions from the true ones in training, as those found by an earlier stage will
# deviate: relative to the box's side, and to the head's length.
_BOX_STRAYS, _END_STRAYS = 0.1, 0.04


@cache
def _load(split: str) -> whales.Whales:
    return whales.load(split)


def _turned_by_quarters(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return NHWC pictures in varied light, rotated by multiples of 90 degrees."""
    lit = in_other_light(pictures, rng)
    quarters = rng.integers(0, 4, len(lit))
    return np.stack([np.rot90(one, int(times)) for one, times in zip(lit, quarters, strict=True)])


@dataclass(frozen=True)
class WholePictures(Classification):
    """Classification of whole pictures, with individuals as classes."""

    labels = (SYNTHETIC,)


@dataclass(frozen=True)
class Staged(WholePictures):
    """The same with the targets of stages in training: boxes and ends of heads."""

    def train(self) -> TrainingSet:
        """Return the training pictures; a target is the individual, its box and its ends."""
        data = _load("train")
        parts = (data.labels[:, None], data.boxes, data.points.reshape(-1, 4))
        targets = np.concatenate(parts, 1).astype(np.float32)
        whole = super().train()
        return whole._replace(targets=targets, loss=staged_loss)


def staged_loss(module: Any, images: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of the losses of detect, keypoints and classify, each by labels of its own.

    Later stages get the true positions with a random deviation, so that each can learn from the
    start; they share no weights. Targets (N, 9) are the individual, the box and both ends.
    """
    import torch
    from torch.nn import functional

    from perfsuite.models.whale import SIDE, surroundings

    labels, boxes, points = targets[:, 0].long(), targets[:, 1:5], targets[:, 5:]
    maps = module.detect.scores(images)
    middle, half = surroundings(boxes)
    loss = _heat_loss(maps[:, :1], (middle / (SIDE / 2) - 1)[:, None])
    loss = loss + functional.smooth_l1_loss(module.detect.read(maps), boxes) / 4

    strayed = boxes + _noise(boxes, _BOX_STRAYS) * half
    maps = module.keypoints.scores(images, strayed)
    middle, half = surroundings(strayed)
    ends = points.reshape(-1, 2, 2)
    loss = loss + _heat_loss(maps, (ends - middle[:, None]) / half[:, None])
    loss = loss + functional.smooth_l1_loss(module.keypoints.read(maps, strayed), points)

    length = torch.linalg.vector_norm(ends[:, 0] - ends[:, 1], dim=1)[:, None]
    heads = module.align(images, points + _noise(points, _END_STRAYS) * length)
    scores = module.classify(heads).float()
    return loss + functional.cross_entropy(scores, labels, label_smoothing=0.1)


def _noise(like: Tensor, deviation: float) -> Tensor:
    import torch

    return torch.randn_like(like) * deviation


def _heat_loss(heat: Tensor, places: Tensor) -> Tensor:
    """Return the cross-entropy of maps (N, K, side, side) with the cells of positions (N, K, 2).

    Positions are from -1 to 1 over the map.
    """
    from torch.nn import functional

    side = heat.shape[-1]
    cells = ((places + 1) * (side / 2)).long().clamp(0, side - 1)
    wanted = cells[..., 1] * side + cells[..., 0]
    return functional.cross_entropy(heat.flatten(2).flatten(0, 1).float(), wanted.flatten())


def net() -> nn.Module:
    """Return the staged net without its weights."""
    from perfsuite.models import whale

    return whale.whale_id(whales.INDIVIDUALS)


def plain_net() -> nn.Module:
    """Return the net for whole pictures without its weights."""
    from perfsuite.models import whale

    return whale.whale_id_plain(whales.INDIVIDUALS)


def whale_id() -> Workload:
    """Return `whale-id`: head, ends of the head, alignment, classification."""

    def build() -> nn.Module:
        return weights.load(net(), weights.FOLDER / "whale-id.safetensors")

    stages = tuple(Stage(name, (name,)) for name in STAGES)
    task = Staged(
        _load,
        normalized,
        in_other_light,
        identity=whales.fingerprint(),
        declared=how_normalized(whales.SIDE, whales.SIDE),
        has_validation=True,
    )
    return Workload("whale-id", Model(build, stages=stages), task)


def whale_id_plain() -> Workload:
    """Return `whale-id-plain`: one small VGG on the whole picture."""

    def build() -> nn.Module:
        return weights.load(plain_net(), weights.FOLDER / "whale-id-plain.safetensors")

    stages = (Stage("features", ("features",)), Stage("classifier", ("classifier",)))
    task = WholePictures(
        _load,
        normalized,
        _turned_by_quarters,
        identity=whales.fingerprint(),
        declared=how_normalized(whales.SIDE, whales.SIDE),
        has_validation=True,
    )
    return Workload("whale-id-plain", Model(build, stages=stages), task)

"""Vehicles in composed scenes are located and classified into four types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.data import scenes
from perfsuite.data.scenes import SceneItem
from perfsuite.domain.model import Model, Stage
from perfsuite.domain.pictures import Said, boxes_in
from perfsuite.domain.task import Outputs, TrainingSet
from perfsuite.domain.workload import Workload
from perfsuite.training.loop import AdamPlan
from perfsuite.workloads.tasks.average_precision import Boxes, mean_average_precision, row_of
from perfsuite.workloads.tasks.detection import SHOWN_FROM
from perfsuite.workloads.tasks.scenes import SceneTask
from perfsuite.workloads.zoo import weights

if TYPE_CHECKING:
    from torch import Tensor, nn

TYPES = len(scenes.VEHICLES)
OTHER, NOTHING = TYPES, -1  # types of targets: an animal, no item
MOST = 6  # items in a scene

PLAN = AdamPlan(epochs=5, batch=64, peak_rate=2e-3, weight_decay=0.05, bf16=False)

_STRAYS = 0.08  # the deviation of boxes from the true ones in training, relative to their side


@dataclass(frozen=True)
class Traffic(SceneTask):
    """Scenes of vehicles and animals, of which only vehicles are to be found."""

    metric_name = "map50"

    def items(self, split: str, index: int) -> tuple[SceneItem, ...]:
        """Return the items in scene `index` of `split`."""
        return scenes.traffic(split, index)

    def train(self) -> TrainingSet:
        """Return the training scenes; a target (MOST, 5) is boxes and types, or NOTHING."""
        targets = np.full((self.training, MOST, 5), NOTHING, np.float32)
        for index, target in enumerate(targets):
            items = self.items("train", index)
            target[: len(items), :4] = scenes.boxes_of(items)
            target[: len(items), 4] = [_type(item) for item in items]
        return TrainingSet(np.arange(self.training), targets, self.lit, staged_loss)

    def row(self, outputs: Outputs, place: int, items: tuple[SceneItem, ...]) -> np.ndarray:
        """Return the row of `average_precision`; a box has the type that scores highest."""
        boxes, scores = (output[place] for output in outputs)
        types = np.array([_type(item) for item in items])
        wanted = types != OTHER
        return row_of(
            Boxes(boxes, scores.argmax(1) + 1, scores.max(1)),
            Boxes(scenes.boxes_of(items)[wanted], types[wanted] + 1, np.zeros(wanted.sum())),
            TYPES,
        )

    def said(self, outputs: Outputs, place: int, items: tuple[SceneItem, ...]) -> tuple[Said, Said]:
        """Return the vehicles' boxes, and the likely ones that are found."""
        boxes, scores = (output[place] for output in outputs)
        likely = scores.max(1) >= SHOWN_FROM
        found = [scenes.NAMES[scenes.VEHICLES[one]] for one in scores[likely].argmax(1)]
        wanted = [item for item in items if item.label in scenes.VEHICLES]
        names, side = [scenes.NAMES[item.label] for item in wanted], self.kind.side
        truth = boxes_in(scenes.boxes_of(tuple(wanted)), names, side, side)
        answer = boxes_in(boxes[likely], found, side, side, scores[likely].max(1))
        return Said(boxes=truth), Said(boxes=answer)

    def metric(self, rows: np.ndarray) -> float:
        """Return the mean over types of the average precision at an overlap of 0.5."""
        return mean_average_precision(rows)


def _type(item: SceneItem) -> int:
    return scenes.VEHICLES.index(item.label) if item.label in scenes.VEHICLES else OTHER


def staged_loss(module: Any, images: Tensor, targets: Tensor) -> Tensor:
    """Return the sum of the losses of detect and classify, each by labels of its own.

    The classifier gets the true boxes with a random deviation; the stages share no weights.
    """
    import torch
    from torch.nn import functional

    boxes, types = targets[..., :4], targets[..., 4].long()
    maps = module.detect.maps(images)
    wanted = (types >= 0) & (types < TYPES)
    heat, cells = heat_of(boxes, wanted, maps.shape[-1])
    count = wanted.sum().clamp(min=1)
    read = module.detect.boxes_at(maps, cells)
    apart = functional.smooth_l1_loss(read, boxes, reduction="none").sum(2)
    loss = focal_loss(maps[:, 0], heat) / count + 0.1 * (apart * wanted).sum() / count

    side = (boxes[..., 2:] - boxes[..., :2]).amax(2, keepdim=True)
    strayed = boxes + torch.randn_like(boxes) * _STRAYS * side
    logits = module.classify.logits(images, strayed).float()
    return loss + functional.cross_entropy(
        logits.flatten(0, 1), types.flatten(), ignore_index=NOTHING, label_smoothing=0.1
    )


def heat_of(boxes: Tensor, wanted: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return the target heat maps (N, side, side), and the cells (N, K) of the boxes' centres.

    A wanted box has heat 1 in its cell, which falls off around it, more slowly for larger boxes.
    """
    import torch

    from perfsuite.models.vehicles import CELL

    middle = (boxes[..., :2] + boxes[..., 2:]) / (2 * CELL)
    place = middle.long().clamp(0, side - 1)
    at = torch.arange(side, device=boxes.device)
    dx = (at - place[..., :1])[..., None, :]
    dy = (at - place[..., 1:])[..., :, None]
    width = (boxes[..., 2] - boxes[..., 0]).clamp(min=CELL) / CELL / 6
    heat = torch.exp(-(dx**2 + dy**2) / (2 * width[..., None, None] ** 2))
    heat = (heat * wanted[..., None, None]).amax(1)
    return heat, place[..., 1] * side + place[..., 0]


def focal_loss(logits: Tensor, heat: Tensor) -> Tensor:
    """Return the penalty-reduced focal loss (Law and Deng 2018, arXiv:1808.01244), summed.

    Cells with heat 1 are centres; other cells count less, the greater their heat.
    """
    import torch
    from torch.nn import functional

    share = logits.sigmoid()
    middle = heat >= 1
    found = (1 - share) ** 2 * functional.logsigmoid(logits)
    spared = (1 - heat) ** 4 * share**2 * functional.logsigmoid(-logits)
    return -torch.where(middle, found, spared).sum()


def net() -> nn.Module:
    """Return the net without its weights."""
    from perfsuite.models import vehicles

    return vehicles.vehicle_type(TYPES)


def vehicle_type() -> Workload:
    """Return `vehicle-type`: locate vehicles of several sizes, then classify each."""

    def build() -> nn.Module:
        return weights.load(net(), weights.FOLDER / "vehicle-type.safetensors")

    stages = (Stage("detect", ("detect",)), Stage("classify", ("classify",)))
    task = Traffic(scenes.TRAFFIC, training=12000, test=1000)
    return Workload("vehicle-type", Model(build, stages=stages), task)

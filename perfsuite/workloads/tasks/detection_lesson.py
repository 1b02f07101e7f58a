"""A detector that learns from another: from its features, its scores and its boxes.

Sources: features as hints, Romero et al. 2015 (arXiv:1412.6550), "FitNets"; what is taught to both
heads of a Faster R-CNN, Chen et al. 2017, "Learning efficient object detection models with
knowledge distillation".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from perfsuite.errors import Unsupported
from perfsuite.export.calls import evaluated
from perfsuite.workloads.tasks.moved_boxes import marked, mirrored_and_zoomed

if TYPE_CHECKING:
    from torch import Tensor, nn

_PARTS = ("transform", "backbone", "rpn", "roi_heads")  # torchvision's names
_SIDE = 64  # pixels of the picture by which the features are known
_BETA = 1 / 9  # where the loss of a box turns from a square to a line, as in torchvision


class DetectionTaught:
    """The loss of a detector that has a teacher (`TrainingSet.taught`)."""

    def __call__(
        self, student: nn.Module, teacher: nn.Module, images: Tensor, boxes: Tensor
    ) -> Tensor:
        """Return the loss of one step that counts half for the teacher; no hints are regressed."""
        loss: Tensor = self.lesson(student, teacher, 0.5)(student, teacher, images, boxes)
        return loss

    def lesson(self, student: nn.Module, teacher: nn.Module, weight: float) -> nn.Module:
        """Return the loss of a training as a module: what it owns is trained with the student.

        `weight` is that of the teacher in the loss; the rest is that of the boxes in the pictures.
        Raises `Unsupported` for detectors that are no Faster R-CNN in torchvision's parts.
        """
        for one in (student, teacher):
            missing = [part for part in _PARTS if not hasattr(one, part)]
            if missing:
                raise Unsupported(
                    f"teacher: {type(one).__name__} has no {', '.join(missing)}; detectors are "
                    f"taught that have the parts of torchvision's Faster R-CNN "
                    f"({', '.join(_PARTS)}); leave teacher out (teacher = 0.0)"
                )
        made: nn.Module = _lesson()(_channels(student), _channels(teacher), weight)
        return made.to(next(student.parameters()).device)


class Raw(NamedTuple):
    """What the heads of a detector say of anchors and of proposals, before boxes are chosen."""

    objectness: Tensor  # (pictures, anchors)
    anchor_deltas: Tensor  # (pictures, anchors, 4)
    scores: Tensor  # (proposals, classes), the background first
    deltas: Tensor  # (proposals, classes, 4)


@cache
def _lesson() -> Any:
    import torch
    from torch import nn

    class DetectionLesson(nn.Module):
        """The loss of a student: (1 - weight) * its own + weight * (hints + scores + boxes).

        Where the student's features have another number of channels than the teacher's, a 1x1
        convolution regresses these from those, which learns with the student and is then thrown
        away. With its teacher's weights a student's part of the teacher is 0.
        """

        def __init__(self, channels: int, wanted: int, weight: float) -> None:
            super().__init__()
            self.regressor = nn.Identity() if channels == wanted else nn.Conv2d(channels, wanted, 1)
            self.weight = weight

        def forward(self, student: Any, teacher: Any, images: Tensor, boxes: Tensor) -> Tensor:
            images, boxes = mirrored_and_zoomed(images, boxes)
            batch, targets = student.transform(list(images), marked(boxes))
            features = student.backbone(batch.tensors)
            with _heard(student.rpn.head) as said:
                proposals, losses = student.rpn(batch, features, targets)
            heads = student.roi_heads
            # Proposals, the places of their boxes among the targets, their labels and deltas.
            chosen, _, labels, aims = heads.select_training_samples(proposals, targets)
            found = _raw(student, features, said[0], chosen, batch)
            with torch.no_grad():
                theirs, _ = teacher.transform(list(images))
                _check(batch.tensors, theirs.tensors, "pictures of the size")
                known = teacher.backbone(theirs.tensors)
                told = _raw(teacher, known, teacher.rpn.head(list(known.values())), chosen, theirs)
            for mine, wanted, what in zip(found, told, _SAID, strict=True):
                _check(mine, wanted, what)
            anchors = student.rpn.anchor_generator(batch, list(features.values()))
            taught = (
                hint(features, known, self.regressor, heads.box_roi_pool.featmap_names)
                + _of_anchors(student.rpn, found, told, anchors, targets)
                + _of_proposals(found, told, torch.cat(labels), torch.cat(aims))
            )
            own = torch.stack([*losses.values(), *_own(found, labels, aims)]).sum()
            return (1 - self.weight) * own + self.weight * taught

    return DetectionLesson


_SAID = ("anchors", "anchors", "classes", "classes")  # what the numbers in `Raw` are of


def _raw(
    detector: Any, features: Mapping[str, Tensor], said: Any, proposals: list[Tensor], batch: Any
) -> Raw:
    """Return what a detector says of `proposals`, and of its anchors, of which its RPN has said."""
    from torchvision.models.detection.rpn import concat_box_prediction_layers

    heads, count = detector.roi_heads, len(batch.image_sizes)
    objectness, anchor_deltas = concat_box_prediction_layers(list(said[0]), list(said[1]))
    pooled = heads.box_roi_pool(features, proposals, batch.image_sizes)
    scores, deltas = heads.box_predictor(heads.box_head(pooled))
    return Raw(
        objectness.float().reshape(count, -1),
        anchor_deltas.float().reshape(count, -1, 4),
        scores.float(),
        deltas.float().reshape(len(deltas), -1, 4),
    )


def _own(found: Raw, labels: list[Tensor], aims: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the losses of the box head by the boxes in the pictures, as torchvision has them."""
    from torchvision.models.detection.roi_heads import fastrcnn_loss

    losses: tuple[Tensor, Tensor] = fastrcnn_loss(
        found.scores, found.deltas.flatten(1), labels, aims
    )
    return losses


def _of_anchors(
    rpn: Any, found: Raw, told: Raw, anchors: list[Tensor], targets: list[dict[str, Tensor]]
) -> Tensor:
    """Return the distance in objectness of the anchors that the teacher deems likeliest objects.

    They are as many as the loss by labels samples of each picture. To it is added what the boxes of
    anchors on objects miss more than the teacher's do.
    """
    import torch

    count = min(int(rpn.fg_bg_sampler.batch_size_per_image), found.objectness.shape[1])
    likeliest = told.objectness.topk(count, dim=1).indices
    scores = divergence_of_two(
        found.objectness.gather(1, likeliest), told.objectness.gather(1, likeliest)
    )
    labels, matched = rpn.assign_targets_to_anchors(anchors, targets)
    aims = torch.cat(rpn.box_coder.encode(matched, anchors))
    on = torch.cat(labels) > 0
    missed = bounded(
        found.anchor_deltas.flatten(0, 1)[on], told.anchor_deltas.flatten(0, 1)[on], aims[on]
    )
    return scores + missed / likeliest.numel()


def _of_proposals(found: Raw, told: Raw, labels: Tensor, aims: Tensor) -> Tensor:
    """Return the distance in class scores of proposals, and what boxes miss more than theirs do."""
    on = labels > 0
    classes = labels[on]
    missed = bounded(found.deltas[on, classes], told.deltas[on, classes], aims[on])
    return divergence(found.scores, told.scores) + missed / max(1, len(labels))


def hint(
    found: Mapping[str, Tensor],
    told: Mapping[str, Tensor],
    regressor: nn.Module,
    names: Sequence[str],
) -> Tensor:
    """Return the squared distance of features from the teacher's, relative to their own square.

    It is the mean over those of a pyramid's levels `names` that the teacher has, too.
    """
    import torch

    distances = []
    for name in (name for name in names if name in told):
        wanted = told[name].float()
        regressed = regressor(found[name]).float()
        _check(regressed[0, 0], wanted[0, 0], "features of the size")
        size = wanted.square().mean().clamp(min=torch.finfo(torch.float32).tiny)
        distances.append((regressed - wanted).square().mean() / size)
    if not distances:
        raise Unsupported(
            f"teacher: a student with the levels {', '.join(names)} of features cannot learn from "
            f"a detector that has {', '.join(told)}; leave teacher out (teacher = 0.0)"
        )
    return torch.stack(distances).mean()


def divergence(scores: Tensor, wanted: Tensor) -> Tensor:
    """Return Kullback and Leibler's divergence from the teacher's class probabilities, in the mean.

    Unlike a classifier's, scores are not divided by a temperature: most proposals are background,
    and dividing would let that be forgotten for what the teacher confuses it with.
    """
    import torch

    theirs, mine = torch.log_softmax(wanted, dim=1), torch.log_softmax(scores, dim=1)
    return (theirs.exp() * (theirs - mine)).sum(dim=1).mean()


def divergence_of_two(scores: Tensor, wanted: Tensor) -> Tensor:
    """Return the same for one score a place, that of an object there against none."""
    from torch.nn.functional import binary_cross_entropy_with_logits as entropy

    likely = wanted.sigmoid()
    return entropy(scores, likely) - entropy(wanted, likely)


def bounded(found: Tensor, told: Tensor, aims: Tensor) -> Tensor:
    """Return the loss of the boxes (n, 4) that miss their aims by more than the teacher's do.

    A teacher's box may be worse than none to learn from: it is a bound, beyond which nothing more
    is asked (Chen et al. 2017, equation 4, with the loss that torchvision has for boxes).
    """
    import torch
    from torch.nn.functional import smooth_l1_loss

    lost, limit = (
        smooth_l1_loss(one, aims, beta=_BETA, reduction="none").sum(dim=1) for one in (found, told)
    )
    return torch.where(lost > limit, lost, 0.0).sum()


def _channels(detector: Any) -> int:
    """Return the number of channels of the features; `detector` is left in evaluation mode."""
    import torch

    weight = next(detector.parameters())
    picture = torch.zeros(1, 3, _SIDE, _SIDE, device=weight.device, dtype=weight.dtype)
    evaluated(detector)
    with torch.no_grad():
        features: Mapping[str, Tensor] = detector.backbone(picture)
    return int(next(iter(features.values())).shape[1])


def _check(mine: Tensor, theirs: Tensor, what: str) -> None:
    """Raise `Unsupported` for a student whose tensors have another shape than its teacher's."""
    if mine.shape != theirs.shape:
        raise Unsupported(
            f"teacher: a student that has {what} {tuple(mine.shape)} cannot learn from a detector "
            f"that has {tuple(theirs.shape)}; give it as many, or leave teacher out (teacher = 0.0)"
        )


@contextmanager
def _heard(module: nn.Module) -> Iterator[list[Any]]:
    """Give a list that fills with what `module` returns within the context."""
    said: list[Any] = []
    handle = module.register_forward_hook(lambda *given: said.append(given[2]))
    try:
        yield said
    finally:
        handle.remove()

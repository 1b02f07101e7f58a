"""Faster R-CNN with a feature pyramid, in a form of fixed shapes.

Sources: Ren et al. 2015 (arXiv:1506.01497), Lin et al. 2017 (arXiv:1612.03144). The modules and
names of parameters are torchvision's, so that its checkpoints can be loaded.

The numbers of proposals and detections of torchvision's own detector differ from picture to
picture. Engines are then slowed down by changing shapes, and some fail on a picture without
detections. Here both are padded to a fixed number with empty boxes, which become no detections,
because torchvision drops those smaller than 0.01 pixel. The other detections are torchvision's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite.domain.model import Stage

if TYPE_CHECKING:
    import torch
    from torch import nn

STAGES = (
    Stage("transform", ("transform",)),
    Stage("backbone", ("backbone.body",)),
    Stage("fpn", ("backbone.fpn",)),
    Stage("rpn head", ("rpn.head",)),
    Stage("proposals", ("rpn",)),  # anchors, decoding, and non-maximum suppression
    Stage("roi pooling", ("roi_heads.box_roi_pool",)),
    Stage("box head", ("roi_heads.box_head", "roi_heads.box_predictor")),
    Stage("postprocess", ("roi_heads.postprocess_detections", "transform.postprocess", "stacked")),
)
CANDIDATES = 1000  # before non-maximum suppression, of each pyramid level and of all detections
# The channels of the levels of ShuffleNetV2 by its size, as Ma et al. 2018 have them (table 5).
WIDTHS = {"x0_5": (48, 96, 192), "x1_0": (116, 232, 464)}
SMALLEST = 1e-2  # pixels: smaller detections are dropped, as in torchvision
# The initial scale of each residual branch (0 in Goyal et al. 2017, arXiv:1706.02677). With 1,
# rounding errors grow 50-fold over a hundred random layers.
RESIDUAL = 0.2
_NEVER = 1e-12  # the score of a box that must not be kept; some engines would drop a score of 0


class Sizes(msgspec.Struct, frozen=True):
    """The fixed sizes of a detector, which scales pictures to `height` x `width` pixels.

    `anchors` are the sides of the square anchors of each pyramid level, in these pixels; `strides`
    are those of the levels. `canonical` is the side of a box that is pooled from the level of
    stride 16, as in equation 1 of Lin et al. 2017. Of `candidates` on each level, the best
    `proposals` are left after suppression.
    """

    height: int
    width: int
    proposals: int
    detections: int
    strides: tuple[int, ...]  # of the levels that boxes are pooled from
    anchors: tuple[tuple[int, ...], ...]
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    canonical: int = 224
    head: int = 1024  # channels of the box head
    sampled: int = 512  # proposals of a picture that are used in training
    candidates: int = CANDIDATES


RESNET101 = Sizes(
    height=600,  # the shorter side and the number of proposals of Ren et al. 2015
    width=800,
    proposals=300,
    detections=100,
    strides=(4, 8, 16, 32),
    anchors=((32,), (64,), (128,), (256,), (512,)),
)
# Cells are 20 to 130 pixels large at this size, platelets 15 to 30; nearly all are as wide as high.
SHUFFLENET = Sizes(
    height=240,
    width=320,
    proposals=100,
    detections=100,
    strides=(8, 16, 32),
    anchors=((16, 24), (40, 56), (72, 96), (120, 160)),
    ratios=(0.7, 1.0, 1.4),
    canonical=96,
    head=256,
    sampled=128,
)
# On ONNX Runtime the detector on x1.0 chooses proposals for longer than its backbone takes. With so
# few it finds as much: 95.51 % mAP@0.5 of the 20 calibration pictures of BCCD, for 95.55 % before.
SHUFFLENET_SMALL = msgspec.structs.replace(SHUFFLENET, proposals=60, candidates=200)


def faster_rcnn_resnet101(classes: int = 90) -> nn.Module:
    """Return Faster R-CNN on ResNet-101 with random weights, for `classes` classes.

    It takes float32 (N, 3, height, width) RGB pictures from 0 to 1, all of one size. In evaluation
    mode it returns boxes (N, 100, 4) in pixels of the picture, labels (N, 100) from 1 and scores
    (N, 100), padded with zeros. In training mode it takes torchvision's list of targets too, and
    returns its dictionary of losses.
    """
    from torch import nn
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    backbone = resnet_fpn_backbone(
        backbone_name="resnet101", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5
    )
    for name, part in backbone.body.named_modules():
        if name.endswith("bn3"):
            nn.init.constant_(part.weight, RESIDUAL)
    return detector(backbone, classes, RESNET101)


def faster_rcnn_shufflenet(classes: int = 3, channels: int = 64) -> nn.Module:
    """Return the same detector on ShuffleNetV2 x1.0, its pyramid `channels` wide.

    Batch normalization is trained, in the pyramid too, because the net is trained from scratch;
    engines fold it. Inputs and outputs are those of `faster_rcnn_resnet101`.
    """
    return _on_shufflenet("x1_0", classes, channels, SHUFFLENET)


def faster_rcnn_shufflenet_x0_5(classes: int = 3, channels: int = 64) -> nn.Module:
    """Return a student of `faster_rcnn_shufflenet`: on ShuffleNetV2 x0.5, with fewer candidates."""
    return _on_shufflenet("x0_5", classes, channels, SHUFFLENET_SMALL)


def _on_shufflenet(width: str, classes: int, channels: int, sizes: Sizes) -> nn.Module:
    import torchvision
    from torch import nn
    from torchvision.models.detection.backbone_utils import BackboneWithFPN

    body = getattr(torchvision.models, f"shufflenet_v2_{width}")(weights=None)
    for part in body.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    levels = {"stage2": "0", "stage3": "1", "stage4": "2"}
    widths = list(WIDTHS[width])
    backbone = BackboneWithFPN(body, levels, widths, channels, norm_layer=nn.BatchNorm2d)
    return detector(backbone, classes, sizes)


def detector(backbone: Any, classes: int, sizes: Sizes) -> nn.Module:
    """Return the detector on `backbone`, a feature pyramid with torchvision's `out_channels`."""
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.rpn import RPNHead
    from torchvision.ops.poolers import LevelMapper, MultiScaleRoIAlign

    whole, rpn, heads, prepared = _classes()
    ratios = (sizes.ratios,) * len(sizes.anchors)
    anchors = AnchorGenerator(sizes.anchors, ratios)
    head = RPNHead(backbone.out_channels, anchors.num_anchors_per_location()[0])
    names = [str(index) for index in range(len(sizes.strides))]
    pool = MultiScaleRoIAlign(names, 7, 2, canonical_scale=sizes.canonical)
    # Set here: the pooler would find them in its first call, and they would not be exported.
    first, last = (sizes.strides[index].bit_length() - 1 for index in (0, -1))
    pool.scales = [1.0 / stride for stride in sizes.strides]
    pool.map_levels = LevelMapper(first, last, canonical_scale=sizes.canonical)
    transform = prepared(
        sizes.height,
        sizes.width,
        [0.485, 0.456, 0.406],
        [0.229, 0.224, 0.225],
        fixed_size=(sizes.width, sizes.height),
    )
    module: nn.Module = whole(
        backbone, rpn(anchors, head, sizes), heads(pool, backbone, classes, sizes), transform
    )
    return module.eval()


@cache
def _classes() -> tuple[Any, Any, Any, Any]:
    """Return torchvision's classes, changed to fixed numbers of boxes and one size of pictures."""
    import torch
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
    from torchvision.models.detection.roi_heads import RoIHeads
    from torchvision.models.detection.rpn import RegionProposalNetwork
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    class Proposals(RegionProposalNetwork):  # type: ignore[misc]
        def __init__(self, anchors: Any, head: Any, sizes: Sizes) -> None:
            before = {"training": CANDIDATES, "testing": sizes.candidates}
            after = {"training": CANDIDATES, "testing": sizes.proposals}
            super().__init__(anchors, head, 0.7, 0.3, 256, 0.5, before, after, 0.7)

        def filter_proposals(
            self, proposals: Any, objectness: Any, shapes: Any, counts: list[int]
        ) -> tuple[list[Any], list[Any]]:
            if self.training:
                kept: tuple[list[Any], list[Any]] = super().filter_proposals(
                    proposals, objectness, shapes, counts
                )
                return kept
            logits = objectness.reshape(len(proposals), -1)
            limits = (self.pre_nms_top_n(), self.post_nms_top_n(), self.nms_thresh)
            found = [
                best_proposals(boxes, scores, shape, counts, *limits)
                for boxes, scores, shape in zip(proposals, logits, shapes, strict=True)
            ]
            return [boxes for boxes, _ in found], [scores for _, scores in found]

    class Heads(RoIHeads):  # type: ignore[misc]
        def __init__(self, pool: Any, backbone: Any, classes: int, sizes: Sizes) -> None:
            head = TwoMLPHead(backbone.out_channels * 7 * 7, sizes.head)
            predictor = FastRCNNPredictor(sizes.head, classes + 1)
            rules = (0.5, 0.5, sizes.sampled, 0.25, None, 0.05, 0.5, sizes.detections)
            super().__init__(pool, head, predictor, *rules)

        def postprocess_detections(
            self, logits: Any, deltas: Any, proposals: list[Any], shapes: Any
        ) -> tuple[list[Any], list[Any], list[Any]]:
            count = proposals[0].shape[0]
            boxes = torch.split(self.box_coder.decode(deltas, proposals), count)
            scores = torch.split(torch.softmax(logits, -1), count)
            limits = (self.score_thresh, self.nms_thresh, self.detections_per_img)
            found = [
                best_detections(*each, *limits) for each in zip(boxes, scores, shapes, strict=True)
            ]
            return tuple(map(list, zip(*found, strict=True)))  # type: ignore[return-value]

    class Transform(GeneralizedRCNNTransform):  # type: ignore[misc]
        def batch_images(self, images: list[Any], size_divisible: int = 32) -> Any:
            # torchvision copies pictures into a tensor one by one, which engines do element by
            # element: a sixth of the call on a small net.
            batch = torch.stack(images)
            below, right = (-int(side) % size_divisible for side in batch.shape[-2:])
            return torch.nn.functional.pad(batch, (0, right, 0, below))

    class Detector(GeneralizedRCNN):  # type: ignore[misc]
        def forward(self, images: Any, targets: Any = None) -> Any:
            if self.training:
                return super().forward(list(images), targets)
            size = tuple(images.shape[-2:])
            batch, _ = self.transform(images)
            features = self.backbone(batch.tensors)
            proposals, _ = self.rpn(batch, features)
            detections, _ = self.roi_heads(features, proposals, batch.image_sizes)
            sizes = [size] * len(detections)
            return self.stacked(self.transform.postprocess(detections, batch.image_sizes, sizes))

        def stacked(self, detections: list[dict[str, Any]]) -> tuple[Any, ...]:
            names = ("boxes", "labels", "scores")
            return tuple(torch.stack([each[name] for each in detections]) for name in names)

    return Detector, Proposals, Heads, Transform


def best_proposals(
    boxes: torch.Tensor,
    logits: torch.Tensor,
    shape: tuple[int, int],
    counts: Sequence[int],
    candidates: int,
    count: int,
    overlap: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return exactly `count` proposals of one picture (count, 4) and their scores (count,).

    Of each pyramid level the best `candidates` are suppressed within that level; the result is
    padded with empty boxes. `counts` are the numbers of anchors of the levels.
    """
    import torch
    from torchvision.ops.boxes import clip_boxes_to_image

    chosen, levels, start = [], [], 0
    for level, number in enumerate(counts):
        best = logits[start : start + number].topk(min(candidates, int(number))).indices
        chosen.append(best + start)
        levels.append(torch.full_like(best, level))
        start += number
    index = torch.cat(chosen)
    boxes = clip_boxes_to_image(boxes[index], shape)
    scores = torch.where(_is_larger(boxes, 1e-3), logits[index].sigmoid(), _NEVER)
    kept = _suppressed(boxes, scores, torch.cat(levels), count, overlap)
    boxes, scores = _with_nothing(boxes)[kept], _with_nothing(scores)[kept]
    real = scores > _NEVER
    return torch.where(real[:, None], boxes, 0.0), torch.where(real, scores, 0.0)


def best_detections(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    shape: tuple[int, int],
    least: float,
    overlap: float,
    count: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return exactly `count` boxes (count, 4), scores and labels (count,) of one picture.

    In `boxes` (proposals, classes, 4) and `scores` (proposals, classes) the first class is the
    background. Of the best `CANDIDATES`, suppressed within their class, those with scores above
    `least` are returned, the best first, padded with zeros. The scores are compared with `least`
    after suppression, which changes nothing: a low score cannot suppress a higher one.
    """
    import torch
    from torchvision.ops.boxes import clip_boxes_to_image

    boxes = clip_boxes_to_image(boxes, shape)[:, 1:]
    flat, classes = boxes.reshape(-1, 4), int(scores.shape[-1]) - 1
    values = torch.where(_is_larger(flat, SMALLEST), scores[:, 1:].reshape(-1), _NEVER)
    values, index = values.topk(min(CANDIDATES, int(values.shape[0])))
    flat, labels = flat[index], index % classes + 1
    kept = _suppressed(flat, values, labels, count, overlap)
    flat, values, labels = (_with_nothing(part)[kept] for part in (flat, values, labels))
    real = values > least
    return (
        torch.where(real[:, None], flat, 0.0),
        torch.where(real, values, 0.0),
        torch.where(real, labels, 0),
    )


def _is_larger(boxes: torch.Tensor, side: float) -> torch.Tensor:
    return (boxes[:, 2] - boxes[:, 0] >= side) & (boxes[:, 3] - boxes[:, 1] >= side)


def _suppressed(
    boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, count: int, overlap: float
) -> torch.Tensor:
    """Return exactly `count` indices, the best first, padded with the index behind the boxes.

    Boxes of different groups are moved apart, so that they do not suppress each other.
    """
    import torch
    from torchvision.ops import nms

    apart = groups.to(boxes.dtype) * (boxes.max() + 1)
    kept = nms(boxes + apart[:, None], scores, overlap)
    return torch.cat([kept, torch.full_like(groups[:1], len(boxes)).expand(count)])[:count]


def _with_nothing(values: torch.Tensor) -> torch.Tensor:
    """Return `values` with a row of zeros at the end, for padded indices."""
    import torch

    return torch.cat([values, torch.zeros_like(values[:1])])

"""A tiny Faster R-CNN, and pictures for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from perfsuite.models.faster_rcnn import Sizes, detector

SMALL = Sizes(
    height=64,
    width=96,
    proposals=20,
    detections=12,
    strides=(8, 16),
    anchors=((12,), (24,), (48,)),
    canonical=24,
    head=16,
)


def small(channels: int = 8, classes: int = 3, sizes: Sizes = SMALL) -> Any:
    """Return a tiny detector with random weights: it sees much in a noise, nothing in the dark.

    Its pyramid is `channels` wide.
    """
    from torchvision.models.detection.backbone_utils import BackboneWithFPN

    torch.manual_seed(0)
    body = nn.Sequential()
    for name, stride, width in (("stem", 8, 8), ("top", 2, 12)):
        body.add_module(name, nn.Sequential(nn.LazyConv2d(width, stride, stride), nn.ReLU()))
    body(torch.zeros(1, 3, 64, 96))
    for name, parameter in body.named_parameters():
        parameter.data = torch.zeros(parameter.shape) if "bias" in name else parameter.abs().data
    backbone = BackboneWithFPN(body, {"stem": "0", "top": "1"}, [8, 12], channels)
    module = detector(backbone, classes, sizes)
    nn.init.normal_(module.rpn.head.cls_logits.weight, std=5.0)
    nn.init.normal_(module.rpn.head.bbox_pred.weight, std=1.0)
    nn.init.normal_(module.roi_heads.box_predictor.cls_score.weight, std=6.0)
    module.roi_heads.box_predictor.cls_score.bias.data = torch.tensor([3.2] + [0.0] * classes)
    module.roi_heads.box_head.fc6.bias.data.zero_()
    module.roi_heads.box_head.fc7.bias.data.zero_()
    return module


def picture(seed: int = 0) -> Any:
    return torch.rand(1, 3, 48, 72, generator=torch.Generator().manual_seed(seed))

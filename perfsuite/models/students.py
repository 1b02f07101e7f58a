"""The nets that a classifier of pictures, or a detector in them, can be distilled into, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from perfsuite.domain.model import Stage
from perfsuite.models import faster_rcnn, shufflenet
from perfsuite.models.vgg import VGG16, vgg

if TYPE_CHECKING:
    from torch import nn

_SMALL = 64  # pixels of the shorter side, up to which a stem leaves a picture at its size
_HALVED = 32  # pixels of the longer side, that VGG-16's five poolings bring down to 1


class Pictures(msgspec.Struct, frozen=True):
    """What a net of the table is built for: pictures (N, channels, height, width), and classes."""

    channels: int
    height: int
    width: int
    classes: int


@dataclass(frozen=True)
class Student:
    """A net of the table: how it is built, without weights, its stages, and what it is for."""

    build: Callable[[Pictures], nn.Module]
    stages: tuple[Stage, ...]
    detects: bool = False  # objects of these classes, as torchvision's detectors do; else it scores


def shufflenet_x0_5() -> Student:
    """Return ShuffleNetV2 x0.5, in the form of its paper for sides above 64 pixels."""
    return Student(lambda given: _shufflenet("x0_5", given), _SHUFFLENET)


def shufflenet_x1_0() -> Student:
    """Return ShuffleNetV2 x1.0, in the form of its paper for sides above 64 pixels."""
    return Student(lambda given: _shufflenet("x1_0", given), _SHUFFLENET)


def vgg_narrow() -> Student:
    """Return VGG-16 with half of its channels, a quarter of its multiply-accumulates."""
    return Student(_vgg_narrow, _VGG)


def detector_on_shufflenet_x0_5() -> Student:
    """Return Faster R-CNN on ShuffleNetV2 x0.5, which scales pictures to 240x320."""
    return Student(_detector, faster_rcnn.STAGES, detects=True)


STUDENTS: dict[str, Callable[[], Student]] = {
    "faster-rcnn-shufflenet-x0.5": detector_on_shufflenet_x0_5,
    "shufflenet-x0.5": shufflenet_x0_5,
    "shufflenet-x1.0": shufflenet_x1_0,
    "vgg-narrow": vgg_narrow,
}

_SHUFFLENET = tuple(Stage(name, (name,)) for name in shufflenet.STAGES)
_VGG = (Stage("features", ("features",)), Stage("classifier", ("flatten", "classifier")))


def _shufflenet(width: shufflenet.Width, given: Pictures) -> nn.Module:
    return shufflenet.shufflenet_v2(
        width,
        channels=given.channels,
        classes=given.classes,
        small=min(given.height, given.width) <= _SMALL,
    )


def _vgg_narrow(given: Pictures) -> nn.Module:
    narrow = tuple(entry // 2 if isinstance(entry, int) else entry for entry in VGG16)
    average = ("A",) if max(given.height, given.width) > _HALVED else ()
    return vgg((*narrow, *average), channels=given.channels, classes=given.classes)


def _detector(given: Pictures) -> nn.Module:
    return faster_rcnn.faster_rcnn_shufflenet_x0_5(given.classes)

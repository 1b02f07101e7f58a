"""The nets of the zoo: one or two of each family of torchvision and timm, as small as they take.

    perfsuite profile benchmarks/zoo_nets.py:torchvision__resnet18

Random weights, the same each time; batch normalizations have seen some pictures, or answers would
vanish from layer to layer, down to 1e-10 in MobileNetV2. What a family's published weights were
trained for is often larger than its smallest picture: here a net has the latter, because the
question is whether answers and counts are right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from perfsuite.domain.model import Model
from perfsuite.domain.task import Task
from perfsuite.domain.workload import Workload
from perfsuite.workloads.packages import (
    RandomPictures,
    one_picture,
    packaged_workload,
    tamed,
    woken,
)

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]
_SEEN = 4  # pictures

# A side in pixels; 0 where a net takes no other size than the published one.
_CLASSIFIERS = {
    "resnet18": 64, "densenet121": 64, "mobilenet_v3_small": 64, "efficientnet_b0": 64,
    "shufflenet_v2_x0_5": 64, "googlenet": 64, "convnext_tiny": 64, "swin_t": 64,
    "inception_v3": 96, "mnasnet0_5": 64, "squeezenet1_1": 64, "regnet_y_400mf": 64,
    "resnext50_32x4d": 64, "mobilenet_v2": 64, "swin_v2_t": 64, "vit_b_32": 0, "maxvit_t": 0,
    "efficientnet_v2_s": 64, "regnet_x_400mf": 64, "resnet50": 64, "alexnet": 64, "vgg11_bn": 64,
    "wide_resnet50_2": 64, "vgg11": 64,
}  # fmt: skip
_SEGMENTERS = dict.fromkeys(
    ("deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large", "fcn_resnet50"), 64
)
_DETECTORS = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": 128, "ssdlite320_mobilenet_v3_large": 0,
    "retinanet_resnet50_fpn": 128, "fcos_resnet50_fpn": 128, "maskrcnn_resnet50_fpn": 128,
    "keypointrcnn_resnet50_fpn": 128, "ssd300_vgg16": 0,
}  # fmt: skip
# Frames and the side of each.
_VIDEO = {"r3d_18": (4, 32), "swin3d_t": (8, 64), "mc3_18": (4, 32), "r2plus1d_18": (4, 32),
          "s3d": (16, 224), "mvit_v1_b": (16, 224)}  # fmt: skip
_OTHERS = {"raft_small": 0}
# As many boxes in each picture: for each one heads compute, and with random weights a net that was
# rounded or pruned finds others.
_MANY = {
    "rpn_post_nms_top_n_test": 100, "box_score_thresh": -1.0, "box_detections_per_img": 8,
}  # fmt: skip
_MORE: dict[str, dict[str, Any]] = {
    "keypointrcnn_resnet50_fpn": {**_MANY, "rpn_nms_thresh": 0.95, "box_nms_thresh": 0.95},
    "maskrcnn_resnet50_fpn": {**_MANY, "box_nms_thresh": 1.0},
    # These two found nothing at all; the first classifies all boxes that are left.
    "fasterrcnn_mobilenet_v3_large_320_fpn": {
        **_MANY,
        "rpn_post_nms_top_n_test": 1000,
        "rpn_nms_thresh": 1.0,
        "box_nms_thresh": 1.0,
    },
    "fcos_resnet50_fpn": {"score_thresh": 0.0, "detections_per_img": 100},
}
# As drawn it is so sure that scores are 1e-8, of which rounding decides which one is the largest.
_UNSURE = {"keypointrcnn_resnet50_fpn": 0.05}
# As drawn its signals vanish in the backbone, and all boxes get one score.
_FADING = ("fasterrcnn_mobilenet_v3_large_320_fpn",)
# In timm a net that fixes its size is told it (`img_size`); the others take any.
_TIMM = {
    "mobilenetv4_conv_small": 64, "deit_tiny_patch16_224": 64, "convnextv2_atto": 64,
    "mobilevit_xxs": 64, "levit_128s": 0, "repvgg_a0": 64, "ghostnet_100": 64,
    "xcit_nano_12_p8_224": 64, "mixer_s32_224": 64, "efficientvit_b0": 64, "hrnet_w18_small": 64,
    "fastvit_t8": 64, "poolformer_s12": 64, "edgenext_xx_small": 64, "gcvit_xxtiny": 0,
    "nf_resnet50": 64,
    "volo_d1_224": 64, "pvt_v2_b0": 64, "sequencer2d_s": 64, "botnet26t_256": 0,
    "res2net50_26w_4s": 64, "skresnet18": 64, "davit_tiny": 64, "inception_next_tiny": 64,
    "mobilenetv3_large_100": 64, "efficientformer_l1": 0, "tnt_s_patch16_224": 64,
    "crossvit_tiny_240": 0, "pit_ti_224": 64, "cait_xxs24_224": 64, "convit_tiny": 64,
    "coat_tiny": 64, "eva02_tiny_patch14_224": 56, "tiny_vit_5m_224": 0, "repvit_m0_9": 64,
    "mobileone_s0": 64, "lcnet_050": 64, "dla34": 64, "vovnet39a": 64, "xception41": 64,
    "cspresnet50": 64,
}  # fmt: skip
_TOLD_ITS_SIZE = (
    "deit_tiny_patch16_224", "xcit_nano_12_p8_224", "mixer_s32_224", "volo_d1_224",
    "tnt_s_patch16_224", "pit_ti_224", "cait_xxs24_224", "convit_tiny", "coat_tiny",
    "eva02_tiny_patch14_224",
)  # fmt: skip


def _ordered() -> tuple[str, ...]:
    """Return the nets, those first that differ most: families take turns."""
    kinds = [list(one) for one in (_CLASSIFIERS, _TIMM, _DETECTORS, _SEGMENTERS, _VIDEO, _OTHERS)]
    packages = ("torchvision", "timm", *["torchvision"] * 4)
    found = []
    for place in range(max(map(len, kinds))):
        found += [
            f"{package}:{kind[place]}"
            for package, kind in zip(packages, kinds, strict=True)
            if place < len(kind)
        ]
    return tuple(found)


NETS = _ordered()


def workload_of(reference: str) -> Workload:
    """Return the workload of a net of `NETS`, as small as its table says."""
    found = _workload_of(reference)
    build = found.model.build
    if build is None or found.model.batch is not None:
        return found  # detectors
    return replace(found, model=replace(found.model, build=partial(_accustomed, build, found.task)))


def _accustomed(build: Callable[[], nn.Module], task: Task) -> nn.Module:
    """Return a net whose batch normalizations have the statistics of a few made-up pictures."""
    import torch

    module = build().eval()
    seen = (torch.from_numpy(one) for one in task.inputs(_SEEN, 1).values())
    _accustom(module, lambda: module(*seen))
    return module.eval()


def _accustom(module: nn.Module, call: Callable[[], object]) -> None:
    """Have batch normalizations take the statistics of what they see in a call."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    norms = [one for one in module.modules() if isinstance(one, _BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = None  # the mean of what is seen
    if norms:
        with torch.no_grad():
            call()


def _workload_of(reference: str) -> Workload:
    package, _, name = reference.partition(":")
    side = {**_CLASSIFIERS, **_SEGMENTERS}.get(name, 0) if package == "torchvision" else 0
    if package == "timm" and _TIMM[name]:
        more = {"img_size": _TIMM[name]} if name in _TOLD_ITS_SIZE else {}
        return _workload(name, partial(_timm, name, **more), (3, _TIMM[name], _TIMM[name]))
    if side:
        whole = packaged_workload(reference)
        return replace(whole, task=RandomPictures({"pictures": (3, side, side)}))
    if package == "torchvision" and _DETECTORS.get(name):
        side = _DETECTORS[name]
        return _workload(name, partial(_detector, name, side), (3, side, side), batch=1)
    if package == "torchvision" and name in _VIDEO:
        frames, side = _VIDEO[name]
        whole = packaged_workload(reference)
        return replace(whole, task=RandomPictures({"clip": (3, frames, side, side)}))
    return packaged_workload(reference)


def _workload(
    name: str, make: Callable[[], nn.Module], shape: Shape, batch: int | None = None
) -> Workload:
    return Workload(name, Model(partial(_seeded, make), batch=batch), RandomPictures({"x": shape}))


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    import torch

    torch.manual_seed(0)
    return woken(make()).eval()


def _timm(name: str, **more: Any) -> nn.Module:
    import timm

    return timm.create_model(name, pretrained=False, **more)


def _detector(name: str, side: int) -> nn.Module:
    """Return a detector that does not scale pictures of this side up."""
    import torch
    from torchvision import models

    given = {"weights_backbone": None, "min_size": side, "max_size": side, **_MORE.get(name, {})}
    net = models.get_model(name, weights=None, **given)
    if name in _FADING:
        _accustom(net, lambda: net.backbone(torch.randn(_SEEN, 3, side, side)))
        tamed(net.eval(), [net.rpn, net.roi_heads], side)
    if name in _UNSURE:
        net.roi_heads.box_predictor.cls_score.weight.data *= _UNSURE[name]
    return one_picture(net)


def __getattr__(name: str) -> Workload:
    reference = name.replace("__", ":", 1)
    if reference not in NETS:
        raise AttributeError(f"the zoo has no net '{name}'")
    return workload_of(reference)

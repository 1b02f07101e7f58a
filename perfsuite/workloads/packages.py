"""The nets of torchvision and timm, by name: random weights, random pictures, to be timed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.model import Model
from perfsuite.domain.task import Inputs, Task
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError, Unavailable
from perfsuite.plugins import suggestion

if TYPE_CHECKING:
    import torch
    from torch import nn

RANDOM = "random weights and pictures"
_INSTALL = {"torchvision": "pip install torchvision", "timm": "pip install timm"}
_PICTURE = (3, 224, 224)  # of nets that do not say what they take
_DETECTOR = (3, 480, 640)  # torchvision's detectors scale pictures themselves
_FRAMES, _CLIP = 16, 112  # of nets for video, and the side of a frame
_FLOW = (3, 128, 128)  # the least that RAFT takes
_ASLEEP = 0.01  # the least that a weight is, if all of its kind are the same
_STD, _FACTORS = 0.02, (0.5, 1.5)  # of matrices that are drawn anew, and of factors of channels
_ALONE = ("detection", "optical_flow")  # families whose nets export for one sample in a call

Build = Callable[[], "nn.Module"]


@dataclass(frozen=True)
class RandomPictures(Task):
    """Standard normal arrays of one shape a sample, for nets with random weights."""

    shapes: dict[str, tuple[int, ...]]  # by input, without the batch
    labels: tuple[str, ...] = (RANDOM,)
    made_up = True

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return seeded inputs for `batch` samples."""
        rng = np.random.default_rng(seed)
        return {
            name: rng.standard_normal((batch, *shape)).astype(np.float32)
            for name, shape in self.shapes.items()
        }

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield other seeded inputs: to random weights, no pictures are more real than these."""
        for number in range(samples):
            yield self.inputs(1, 1_000_000 + number)


def is_packaged(reference: str) -> bool:
    """Tell whether a reference is `torchvision:NAME` or `timm:NAME`."""
    return reference.partition(":")[0] in _INSTALL and ":" in reference


def check_packaged(reference: str) -> None:
    """Raise `ConfigError` unless the package is installed and a net is named; nothing is loaded."""
    package, _, name = reference.partition(":")
    if not name:
        raise ConfigError(f"'{reference}': write {package}:NAME, such as {_example(package)}")
    if find_spec(package) is None:
        raise ConfigError(f"'{reference}': {package} is not installed; {_INSTALL[package]}")


def packaged_workload(reference: str) -> Workload:
    """Return the workload of `torchvision:NAME` or `timm:NAME`.

    The net has random weights, the same each time, none of them all zeros (`woken`), and nothing is
    fetched. It takes pictures of the size that its published weights were trained for. Raises
    `ConfigError`, with a suggestion, for a name that the package has not, `Unavailable` without the
    package.
    """
    package, _, name = reference.partition(":")
    try:
        return {"torchvision": _torchvision, "timm": _timm}[package](name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise Unavailable(
            f"'{reference}': {package} is not installed; {_INSTALL[package]}"
        ) from error


def _example(package: str) -> str:
    return {"torchvision": "torchvision:resnet50", "timm": "timm:mobilenetv3_large_100"}[package]


# -- torchvision ------------------------------------------------------------------------------


def _torchvision(name: str) -> Workload:
    from torchvision import models

    if name not in models.list_models():
        raise ConfigError(
            f"torchvision has no net '{name}'{suggestion(name, models.list_models())}"
        )
    family = models.get_model_builder(name).__module__.split(".")[2]

    def build() -> nn.Module:
        # Detectors and segmenters would fetch a backbone's weights.
        given = {"weights_backbone": None} if family in ("detection", "segmentation") else {}
        net: nn.Module = _seeded(lambda: models.get_model(name, weights=None, **given))
        if "ssdlite" in name:
            _seeded(lambda: settled(net))
        elif name.startswith("ssd"):
            _seeded(lambda: tamed(net, [net.head], 300))
        return one_picture(net) if family == "detection" else net

    task = RandomPictures(_torchvision_inputs(models, name, family))
    return Workload(name, Model(build, batch=1 if family in _ALONE else None), task)


def _torchvision_inputs(models: Any, name: str, family: str) -> dict[str, tuple[int, ...]]:
    if family == "detection":
        sides = next((side for side in (300, 320) if str(side) in name), None)
        return {"picture": (3, sides, sides) if sides else _DETECTOR}
    if family == "optical_flow":
        return {"first": _FLOW, "second": _FLOW}
    trained = models.get_model_weights(name).DEFAULT.transforms.keywords
    side = trained.get("crop_size") or trained.get("resize_size")
    if family == "video":
        height, width = side if isinstance(side, tuple) else (side or _CLIP,) * 2
        return {"clip": (3, _FRAMES, height, width)}
    side = side[0] if isinstance(side, list | tuple) else side
    return {"pictures": (3, side, side) if side else _PICTURE}


def settled(net: Any) -> nn.Module:
    """Return the single-stage detector, with batch norms that have seen some random pictures.

    As torchvision draws SSDlite's weights, signals vanish on the way: every picture gets the same
    answers, all with one score, of which nobody can tell whether two engines agree.
    """
    import torch

    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # the mean over all calls
    with torch.no_grad():
        net.train()
        features = net.backbone(torch.randn(2, 3, 320, 320))
        net.head(list(features.values()))
    quiet: nn.Module = net.eval()
    return quiet


def tamed(net: Any, parts: Iterable[Any], side: int) -> nn.Module:
    """Return the detector, whose `parts` have layers that give about one to a random picture.

    As torchvision draws SSD300's weights, signals grow on the way: all boxes that are kept have a
    score of exactly 1, and which these are is a matter of rounding.
    """
    import torch

    def divide(layer: Any, _: Any, given: torch.Tensor) -> torch.Tensor:
        for one in layer.parameters():
            one.div_(given.std())
        return given / given.std()

    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    layers = (one for part in parts for one in part.modules() if isinstance(one, kinds))
    hooks = [one.register_forward_hook(divide) for one in layers]
    with torch.no_grad():
        net([torch.randn(3, side, side)])
    for hook in hooks:
        hook.remove()
    quiet: nn.Module = net
    return quiet


def one_picture(net: nn.Module) -> nn.Module:
    """Return a detector that takes a batch of one picture, where `net` takes a list of pictures."""
    import torch

    class OnePicture(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, picture: torch.Tensor) -> Any:
            return self.net([picture[0]])

    return OnePicture()


# -- timm -------------------------------------------------------------------------------------


def _timm(name: str) -> Workload:
    import timm

    if not timm.is_model(name):
        raise ConfigError(f"timm has no net '{name}'{suggestion(name, timm.list_models())}")
    known = timm.get_pretrained_cfg(name)
    shape = tuple(known.input_size) if known else _PICTURE

    def build() -> nn.Module:
        return _seeded(lambda: timm.create_model(name, pretrained=False))

    return Workload(name, Model(build), RandomPictures({"pictures": shape}))


def _seeded(make: Build) -> nn.Module:
    """Return what `make` gives, its weights drawn alike each time; in evaluation mode."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return woken(make()).eval()


def woken(net: nn.Module) -> nn.Module:
    """Return the net, with other weights where all that a layer has are the same and nearly zero.

    Training begins so: with heads of zeros, last normalizations of branches that multiply by zero,
    LayerScale's 1e-6. Untrained, what stands before them does not show in the answers, and these
    are alike for all pictures. Matrices are drawn as ViT's are, factors of channels around one.
    """
    import torch

    with torch.no_grad():
        for path, weight in net.named_parameters():
            if "bias" in path.rpartition(".")[2] or not _is_asleep(weight):
                continue
            if sum(side > 1 for side in weight.shape) > 1:
                weight.normal_(std=_STD)
            else:
                weight.uniform_(*_FACTORS)
    return net


def _is_asleep(weight: torch.Tensor) -> bool:
    least, most = weight.aminmax()
    return bool(least == most and abs(most) < _ASLEEP)

"""Tiny torch modules of many families, with what is odd about their weights, forward or answers."""

from __future__ import annotations

import dataclasses
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import prune

from perfsuite.domain.model import Model
from perfsuite.domain.task import Inputs, Task
from perfsuite.domain.workload import Workload

SIDE, CLASSES = 16, 5


class Pictures(Task):
    def inputs(self, batch: int, seed: int) -> Inputs:
        return {"x": np.random.default_rng(seed).random((batch, 3, SIDE, SIDE), np.float32)}


class MaskedPictures(Pictures):
    def inputs(self, batch: int, seed: int) -> Inputs:
        rng = np.random.default_rng(seed)
        mask = rng.random((batch, 1, SIDE, SIDE), np.float32)
        return {"mask": mask, "image": super().inputs(batch, seed)["x"]}


class Two(nn.Module):
    """Convolution, `between`, convolution, `between`, mean, linear."""

    def __init__(
        self, between: Callable[[Tensor], Tensor] = functional.relu, **convolution: Any
    ) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1, **convolution)
        self.b, self.h = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, CLASSES)
        self.between = between

    def scores(self, x: Tensor) -> Tensor:
        scores: Tensor = self.h(self.between(self.b(self.between(self.a(x)))).mean((2, 3)))
        return scores

    def forward(self, x: Tensor) -> Any:
        return self.scores(x)


class Named(NamedTuple):
    scores: Tensor
    features: Tensor


@dataclasses.dataclass
class Fields:
    scores: Tensor
    loss: Tensor | None = None
    features: Tensor | None = None


class Mapped(OrderedDict[str, Any]):
    """As Hugging Face's `ModelOutput`."""


class GivesNamed(Two):
    def forward(self, x: Tensor) -> Any:
        return Named(self.scores(x), self.a(x))


class GivesFields(Two):
    def forward(self, x: Tensor) -> Any:
        return Fields(self.scores(x), None, self.a(x))


class GivesMapped(Two):
    def forward(self, x: Tensor) -> Any:
        return Mapped(z=self.scores(x), a=[self.a(x), None, (x * 2,)], number=3)


class Echoes(Two):
    def forward(self, x: Tensor) -> Any:
        return self.scores(x), x


class TakesKeywords(Two):
    def forward(self, *, image: Tensor, mask: Tensor) -> Any:  # type: ignore[override]
        return self.scores(image * mask)


class TakesDict(Two):
    def forward(self, batch: dict[str, Tensor]) -> Any:  # type: ignore[override]
        return self.scores(batch["image"] * batch["mask"])


class Spoils(Two):
    def forward(self, x: Tensor) -> Any:
        x -= 0.5
        x *= 4.0
        return self.scores(x)


class Counts(Two):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return self.scores(x)


class Frozen(Two):
    """Its `train` returns nothing, as that of detectors' frozen backbones."""

    def train(self, mode: bool = True) -> None:  # type: ignore[override]
        super().train(mode)


class Tied(Two):
    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Linear(8, CLASSES)
        self.again.weight = self.h.weight

    def forward(self, x: Tensor) -> Any:
        y = self.a(x).mean((2, 3))
        return self.h(y) + self.again(y * y)


class Scaled(Two):
    """With a layer scale, as ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((8, 1, 1), 0.3))

    def forward(self, x: Tensor) -> Any:
        y = self.a(x)
        return self.h((y + self.gamma * self.b(y.relu())).mean((2, 3)))


class WithNames(Two):
    def get_extra_state(self) -> Any:
        return {"classes": ["cat", "dog"]}

    def set_extra_state(self, state: Any) -> None:
        """There is nothing to set."""


def _changed(change: Callable[[nn.Module], object]) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        net = Two()
        net.b = change(net.b) or net.b  # type: ignore[assignment]
        return net

    return make


def _of_norms(norm: Callable[[int], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), norm(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(CLASSES)
    )


def _normed(norm: Callable[[int], nn.Module]) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        net = _of_norms(norm).eval()
        net(torch.zeros(1, 3, SIDE, SIDE))
        return net

    return make


def _gem(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x.clamp(min=1e-6).pow(3), 2).pow(1 / 3)


utils = nn.utils
NETS: dict[str, Callable[[], Any]] = {
    "plain": Two,
    "named tuple": GivesNamed,
    "dataclass": GivesFields,
    "mapping": GivesMapped,
    "echo": Echoes,
    "keyword-only": TakesKeywords,
    "dict": TakesDict,
    "in place": Spoils,
    "counter": Counts,
    "train returns nothing": Frozen,
    "tied": Tied,
    "layer scale": Scaled,
    "extra state": WithNames,
    "circular": lambda: Two(padding_mode="circular"),
    "reflect": lambda: Two(padding_mode="reflect"),
    "replicate": lambda: Two(padding_mode="replicate"),
    "gem": lambda: Two(_gem),
    "mish": lambda: Two(functional.mish),
    "mish by hand": lambda: Two(lambda x: x * torch.tanh(functional.softplus(x))),
    "gelu": lambda: Two(functional.gelu),
    "hardswish": lambda: Two(functional.hardswish),
    "sync norm": _normed(nn.SyncBatchNorm),
    "group norm": _normed(lambda width: nn.GroupNorm(2, width)),
    "instance norm": _normed(lambda width: nn.InstanceNorm2d(width, affine=True)),
    "frozen norm": _normed(torchvision.ops.FrozenBatchNorm2d),
    "weight norm": _changed(utils.parametrizations.weight_norm),
    "older weight norm": _changed(lambda layer: utils.weight_norm(layer)),  # type: ignore[arg-type]
    "spectral norm": _changed(utils.parametrizations.spectral_norm),
    "older spectral norm": _changed(lambda layer: utils.spectral_norm(layer)),
    "masks": _changed(lambda layer: prune.l1_unstructured(layer, "weight", 0.5)),
    "channels last": lambda: Two().to(memory_format=torch.channels_last),  # type: ignore[call-overload]
    "training mode": lambda: Two().train(),
    "data parallel": lambda: nn.DataParallel(Two()),
    "compiled": lambda: torch.compile(Two()),
    "script": lambda: torch.jit.trace(Two().eval(), torch.zeros(2, 3, SIDE, SIDE)),
    "program": lambda: torch.export.export(
        Two().eval(),
        (torch.zeros(2, 3, SIDE, SIDE),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    ),
    "mnasnet": lambda: torchvision.models.mnasnet0_5(weights=None, num_classes=CLASSES),
}
FORWARDS = ("keyword-only", "dict")  # whose inputs are a picture and a mask


def workload(name: str) -> Workload:
    """Return a net of `NETS` with its samples."""

    def build() -> Any:
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = NETS[name]()
        if name not in ("training mode", "program"):
            net.eval()
        return net

    return Workload("net", Model(build), MaskedPictures() if name in FORWARDS else Pictures())

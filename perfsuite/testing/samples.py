"""What the checks share: a small net, its inputs, and how a failed requirement is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsuite.domain.model import InputSpec
from perfsuite.domain.task import Inputs

if TYPE_CHECKING:
    from torch import nn

SIDE, CLASSES = 8, 5
SPEC = (InputSpec("image", "float32", ("batch", 3, SIDE, SIDE)),)
OUTPUTS = ("logits",)
PRODUCTS = 3  # convolutions and matrix products of `small_net`
FORBIDDEN = "/\\*?[]"  # in names: they separate the parts of a cell's key, or are globs


def require(condition: bool, message: str) -> None:
    """Raise `AssertionError` unless the condition holds, also under `python -O`."""
    if not condition:
        raise AssertionError(message)


def require_name(name: object, whose: str) -> None:
    """Raise unless `name` may stand in a cell's key."""
    good = isinstance(name, str) and name != "" and name.isprintable()
    good = good and not any(char in FORBIDDEN or char.isspace() for char in str(name))
    require(
        good,
        f"{whose}: its name is {name!r}; it stands in keys such as net/int8/openvino/cpu/b1, so it "
        f"must not be empty and have no spaces and none of {' '.join(FORBIDDEN)}",
    )


def pictures(batch: int, seed: int = 0) -> Inputs:
    """Return seeded standard normal pictures for `small_net`."""
    rng = np.random.default_rng([seed, batch])
    return {"image": rng.normal(size=(batch, 3, SIDE, SIDE)).astype(np.float32)}


def small_net() -> nn.Module:
    """Return conv, batch norm, ReLU, max-pool, conv, linear: the same weights at each call."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * (SIDE // 2) ** 2, CLASSES),
        )
        # Statistics as after training: a pass that forgets them changes the answers.
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.3)
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0)
    return module.eval()

"""Pictures and words in one embedding space.

Source: Frome et al. 2013, "DeViSE: A Deep Visual-Semantic Embedding Model": the features of a net
are projected linearly into the space of word vectors and compared with these, so that a picture can
be named by words that no training picture was labelled with.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.models.vgg import vgg

if TYPE_CHECKING:
    from torch import Tensor, nn

LAYERS: tuple[int | str, ...] = (
    48, "M", 96, 96, "M", 192, 192, "M", 256, "M", 256, "M",
)  # fmt: skip


def devise(words: np.ndarray) -> nn.Module:
    """Return a module with children `features`, `flatten`, `project` and `compare`.

    It takes float32 (N, 3, 32, 32) and returns the cosine similarities (N, words) of each picture
    with the words, whose unit vectors are `words` (words, dimensions).
    """
    import torch
    from torch import nn
    from torch.nn import functional

    class Compare(nn.Module):
        words: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("words", torch.tensor(words.T), persistent=False)

        def forward(self, places: Tensor) -> Tensor:
            return functional.normalize(places) @ self.words

    parts = dict(vgg(LAYERS, channels=3, classes=words.shape[1]).named_children())
    return nn.Sequential(
        OrderedDict(
            features=parts["features"],
            flatten=parts["flatten"],
            project=parts["classifier"],
            compare=Compare(),
        )
    )

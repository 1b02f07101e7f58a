"""Layers that are called in training mode alone keep the channels that they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lowrank_nets import context
from torch import nn
from torch.nn import functional

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import Unsupported
from perfsuite.passes.prune.channels import channel_groups
from perfsuite.passes.prune.prune import Prune
from perfsuite.passes.prune.training_trial import untrainable
from perfsuite.training.plan import SgdPlan

PICTURES = {"image": np.random.default_rng(0).normal(size=(2, 3, 12, 12)).astype(np.float32)}
PLAN = SgdPlan(epochs=1, batch=4, peak_rate=0.01)


class Auxiliary(nn.Module):
    """`a` feeds a head that runs only in training mode, `b` only the usual one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)
        self.head, self.extra = nn.Linear(8, 5), nn.Linear(8, 5)

    def forward(self, image: torch.Tensor) -> Any:
        middle = self.a(image).relu()
        scores = self.head(self.b(middle).relu().mean((2, 3)))
        return (scores, self.extra(middle.mean((2, 3)))) if self.training else scores


def both(module: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    scores, extra = module(inputs)
    return functional.cross_entropy(scores, labels) + functional.cross_entropy(extra, labels)


def net() -> nn.Module:
    torch.manual_seed(0)
    return Auxiliary().eval()


def samples(loss: Any = both) -> TrainingSet:
    images = np.random.default_rng(1).normal(size=(8, 3, 12, 12)).astype(np.float32)
    return TrainingSet(images, np.arange(8) % 5, lambda batch, _: batch, loss)


def test_only_what_the_training_head_reads_is_refused() -> None:
    model = net()
    groups, _ = channel_groups(model, PICTURES)
    found = untrainable(model, groups, samples())
    assert list(found) == ["a"]
    assert "only in training mode reads its channels" in found["a"]
    assert model.a.weight.shape[0] == 8, "the model stays as it is"


def test_a_model_that_cannot_be_trained_at_all_is_left_to_training() -> None:
    model = net()
    groups, _ = channel_groups(model, PICTURES)

    def broken(*_: Any) -> Any:
        raise ValueError("no such loss")

    assert untrainable(model, groups, samples(broken)) == {}


def fitted(folder: Path, **more: Any) -> Any:
    ctx = context(folder, PICTURES)
    object.__setattr__(ctx, "train", samples)
    return Prune(ratio=0.3, scope="uniform", importance="l2", **more).fit(net(), ctx)


def test_what_is_pruned_can_be_trained(tmp_path: Path) -> None:
    for name in ("trained", "cut"):
        (tmp_path / name).mkdir()
    edits = fitted(tmp_path / "trained", finetune=PLAN)
    assert edits.tensors["a.weight"].shape[0] == 8
    assert edits.tensors["b.weight"].shape[0] < 8
    assert "training mode" in edits.data["left"]["a"]
    # Without training, nothing that runs reads them.
    assert fitted(tmp_path / "cut").tensors["a.weight"].shape[0] < 8


def test_where_nothing_else_is_left_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="can be pruned and trained: code that runs on"):
        fitted(tmp_path, finetune=PLAN, layers=("a",))

"""What the low-rank pass does with nets that are not all plain layers, called once each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lowrank_nets import PICTURES, context, fresh, net
from torch import nn

from perfsuite.errors import BuildError, Unsupported
from perfsuite.measure.macs import count_module
from perfsuite.passes.lowrank.factorizable import check_answers
from perfsuite.passes.lowrank.lowrank import Lowrank
from perfsuite.passes.shared.invocation import call


class Odd(nn.Module):
    """One of each layer that must stay as it is, and one that need not."""

    def __init__(self) -> None:
        super().__init__()
        self.good = nn.Linear(32, 32)
        self.tied, self.twin = nn.Linear(32, 32), nn.Linear(32, 32)
        self.twin.weight = self.tied.weight
        self.once = nn.Linear(32, 32)
        self.twice = self.once
        self.read = nn.Linear(32, 32)
        self.unused = nn.Linear(32, 32)
        self.computed = nn.utils.parametrizations.weight_norm(nn.Linear(32, 32))
        self.attention = nn.MultiheadAttention(32, 2)
        self.transposed = nn.ConvTranspose2d(1, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.twice(self.once(self.twin(self.tied(self.good(x)))))
        x = self.computed(self.read(x)) @ self.read.weight
        x = self.attention(x, x, x)[0]
        return {"x": self.transposed(x[None])[0]}


def odd() -> nn.Module:
    torch.manual_seed(0)
    return Odd().eval()


ODD = {"x": np.random.default_rng(0).normal(size=(3, 32)).astype(np.float32)}


def test_what_cannot_be_factorized_is_named(tmp_path: Path) -> None:
    pass_ = Lowrank(energy=0.5)
    edits = pass_.fit(odd(), context(tmp_path, ODD))
    assert set(edits.data["layers"]) == {"good"}
    assert edits.data["left"] == {
        "tied": "its weight is shared with another layer",
        "twin": "its weight is shared with another layer",
        "once": "the same module stands under another name too",
        "twice": "the same module stands under another name too",
        "read": "code outside of the layer reads its attributes",
        "unused": "not called with the task's inputs",
        "computed": "a ParametrizedLinear: only Linear and Conv2d are factorized",
        "attention.out_proj": "a NonDynamicallyQuantizableLinear: only Linear and Conv2d are "
        "factorized",
        "transposed": "a ConvTranspose2d: only Linear and Conv2d are factorized",
    }
    rebuilt = fresh(pass_, edits, tmp_path, odd)
    assert rebuilt.twin.weight is rebuilt.tied.weight and rebuilt.once is rebuilt.twice
    torch.testing.assert_close(rebuilt.tied.weight, odd().tied.weight)


def test_a_net_of_others_is_unsupported(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.ReLU())
    inputs = {"x": np.zeros((1, 4, 5, 5), np.float32)}
    with pytest.raises(Unsupported, match="none of its layers can be factorized: 0: grouped"):
        Lowrank(energy=0.5).fit(model, context(tmp_path, inputs))
    with pytest.raises(Unsupported, match="it has no convolution and no linear layer"):
        Lowrank(energy=0.5).fit(nn.ReLU(), context(tmp_path, inputs))


def test_weights_must_be_finite(tmp_path: Path) -> None:
    model = net()
    with torch.no_grad():
        model.wide.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(BuildError, match=r"wide\.weight has NaN or infinite values"):
        Lowrank(energy=0.5).fit(model, context(tmp_path, PICTURES))


def test_a_layer_may_be_the_whole_model(tmp_path: Path) -> None:
    pass_ = Lowrank(energy=0.5)
    inputs = {"x": np.ones((1, 64), np.float32)}
    edits = pass_.fit(nn.Linear(64, 64), context(tmp_path, inputs))
    assert list(edits.data["layers"]) == [""]
    rebuilt = fresh(pass_, edits, tmp_path, lambda: nn.Linear(64, 64))
    assert set(rebuilt.state_dict()) == {"reduce.weight", "restore.weight", "restore.bias"}


def test_a_layer_called_often_counts_as_often(tmp_path: Path) -> None:
    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.other = nn.Conv2d(32, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            x = self.other(x)
            return [self.head(x[..., :side, :side]) for side in (4, 8, 8)]

    asked: list[Any] = []
    inputs = {"x": np.ones((1, 32, 8, 8), np.float32)}
    torch.manual_seed(0)
    model = Head()
    whole = count_module(model, inputs).macs
    edits = Lowrank(macs=0.6).fit(model, context(tmp_path, inputs, asked=asked))
    # One layer is 2.25 of 3.25 of the net: with it alone the target is reached.
    assert count_module(model, inputs).macs <= 0.6 * whole
    assert "head" in edits.data["layers"] and len(asked) == 1


def test_answers_must_stay_finite_and_as_many() -> None:
    good, inputs = nn.Linear(2, 2), {"x": np.ones((1, 2), np.float32)}
    before = call(good, inputs)
    check_answers(good, inputs, before)
    with pytest.raises(BuildError, match=r"answers tensors of shape \[\(2,\)\]"):
        check_answers(nn.Sequential(good, nn.Flatten(0)), inputs, before)
    with torch.no_grad():
        good.bias.fill_(float("inf"))
    with pytest.raises(BuildError, match="NaN or infinite values with its layers factorized"):
        check_answers(good, inputs, before)


def test_what_a_mask_makes_infinite_may_be_so() -> None:
    class Masked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.masked_fill(torch.tensor([True, False]), float("-inf"))

    inputs = {"x": np.ones((3, 2), np.float32)}
    check_answers(Masked(), inputs, [torch.tensor([[-torch.inf, 1.0]] * 3)])
    with pytest.raises(BuildError, match="NaN or infinite values"):
        check_answers(Masked(), inputs, [torch.tensor([[torch.inf, 1.0]] * 3)])

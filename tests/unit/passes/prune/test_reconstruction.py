"""Fitting what stays of a cut net to what the whole one answered."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, ConfigError
from perfsuite.passes.prune.channels import channel_groups
from perfsuite.passes.prune.reconstruction import reconstruct
from perfsuite.passes.prune.surgery import cut


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, stride=2, padding=1)
    ).eval()


def batches(count: int = 4) -> list[Inputs]:
    rng = np.random.default_rng(0)
    return [{"x": rng.standard_normal((8, 2, 6, 6), dtype=np.float32)} for _ in range(count)]


def answers(module: nn.Module, inputs: Inputs) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = module(torch.from_numpy(inputs["x"]))
    return found


def without(module: nn.Module, kept: list[int]) -> nn.Module:
    smaller = copy.deepcopy(module)
    groups, _ = channel_groups(smaller, batches(1)[0])
    cut(smaller, groups, {groups[0].name: kept})
    return smaller


def fitted(whole: nn.Module, kept: list[int]) -> nn.Module:
    smaller = without(whole, kept)
    reconstruct(smaller, whole, {"0": kept}, batches(), lambda done, total: None)
    return smaller


def test_a_channel_that_only_repeats_another_is_not_missed() -> None:
    whole = net()
    with torch.no_grad():
        whole[0].weight[3], whole[0].bias[3] = whole[0].weight[1], whole[0].bias[1]
    expected, unseen = answers(whole, batches(5)[4]), batches(5)[4]
    before = (answers(without(whole, [0, 1, 2]), unseen) - expected).abs().max()
    after = (answers(fitted(whole, [0, 1, 2]), unseen) - expected).abs().max()
    assert before > 0.1
    assert after < 0.02 * before  # what is left is the ridge's


def test_the_error_becomes_less_where_channels_are_missed() -> None:
    whole, unseen = net(), batches(5)[4]
    expected = answers(whole, unseen)
    before = (answers(without(whole, [1, 2]), unseen) - expected).square().mean()
    after = (answers(fitted(whole, [1, 2]), unseen) - expected).square().mean()
    assert after < 0.6 * before


class OneByOne(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([super(OneByOne, self).forward(one) for one in x])


def test_a_net_that_takes_pictures_one_by_one_is_fitted_as_others() -> None:
    whole = net()
    alone = OneByOne(*copy.deepcopy(whole))
    singles = [{"x": one[None]} for inputs in batches() for one in inputs["x"]]
    made = [without(each, [1, 2]) for each in (whole, alone)]
    for smaller, each in zip(made, (whole, alone), strict=True):
        reconstruct(smaller, each, {"0": [1, 2]}, singles, lambda done, total: None)
    unseen = batches(5)[4]
    torch.testing.assert_close(*(answers(each, unseen) for each in made))


def test_a_net_that_has_lost_nothing_keeps_its_weights() -> None:
    whole = net()
    same = copy.deepcopy(whole)
    reconstruct(same, whole, {}, batches(), lambda done, total: None)
    assert all(
        torch.equal(a, b) for a, b in zip(same.parameters(), whole.parameters(), strict=True)
    )


def test_norms_get_the_statistics_of_the_samples() -> None:
    whole = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).eval()
    given = batches()
    reconstruct(copied := copy.deepcopy(whole), whole, {}, given, lambda done, total: None)
    values = torch.cat([answers(whole[0], one) for one in given])
    assert torch.allclose(copied[1].running_mean, values.mean((0, 2, 3)), atol=1e-5)
    assert not copied[1].training and copied[1].momentum == whole[1].momentum


def test_rows_that_are_no_samples_are_left_alone() -> None:
    class Doubled(nn.Module):
        """Makes two rows of each sample, as a detector makes proposals."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(2, 4, 1), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            pooled = torch.relu(self.first(x)).mean((2, 3))
            found: torch.Tensor = self.second(torch.cat([pooled, pooled]))
            return found

    whole = Doubled().eval()
    smaller = copy.deepcopy(whole)
    with torch.no_grad():
        smaller.first.weight.mul_(0.5)
    before = smaller.second.weight.clone()
    reconstruct(smaller, whole, {}, batches(), lambda done, total: None)
    assert torch.equal(smaller.second.weight, before)


def test_answers_that_are_not_finite_are_an_error() -> None:
    whole = net()
    smaller = without(whole, [0, 1])
    with torch.no_grad():
        whole[2].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(BuildError, match="NaN or infinite"):
        reconstruct(smaller, whole, {"0": [0, 1]}, batches(), lambda done, total: None)


def test_channels_that_nothing_reaches_are_no_equation() -> None:
    whole = net()
    with torch.no_grad():
        whole[0].bias[:2] = -1e6  # behind the ReLU: zeros, on every sample
    smaller = fitted(whole, [0, 1])
    assert torch.equal(smaller[2].weight, whole[2].weight[:, :2])


def test_a_short_last_batch_is_left_out_of_the_norms() -> None:
    whole = nn.Sequential(nn.Flatten(), nn.Linear(72, 3), nn.BatchNorm1d(3)).eval()
    short = {"x": batches(1)[0]["x"][:1] * 100}
    reconstruct(found := copy.deepcopy(whole), whole, {}, [*batches(2), short], lambda *at: None)
    values = torch.cat([answers(whole[:2], one) for one in batches(2)])
    assert torch.allclose(found[2].running_mean, values.mean(0), atol=1e-5)


def test_norms_of_single_vectors_keep_their_statistics() -> None:
    whole = nn.Sequential(
        nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, 3), nn.BatchNorm1d(3)
    ).eval()
    single = [{"x": one["x"][:1]} for one in batches()]
    reconstruct(found := copy.deepcopy(whole), whole, {}, single, lambda *at: None)
    assert found[4].running_mean.tolist() == [0.0] * 3
    assert found[1].running_mean.abs().max() > 0.0


def test_layers_may_be_called_with_names() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.second(input=self.first(input=x).relu())
            return found

    torch.manual_seed(0)
    whole = Named().eval()
    smaller = copy.deepcopy(whole)
    with torch.no_grad():
        smaller.first.weight.mul_(0.5)
    before = (answers(smaller, batches()[0]) - answers(whole, batches()[0])).square().mean()
    reconstruct(smaller, whole, {}, batches(), lambda *at: None)
    assert (answers(smaller, batches()[0]) - answers(whole, batches()[0])).square().mean() < before


def test_a_task_that_yields_no_samples_is_told() -> None:
    with pytest.raises(ConfigError, match=r"reconstruct needs calibration samples, .* yields none"):
        reconstruct(net(), net(), {}, [], lambda *at: None)

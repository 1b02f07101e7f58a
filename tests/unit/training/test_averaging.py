"""The mean of weights and the statistics of norms, by hand and through the training loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from alike import assert_alike

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import PerfsuiteError
from perfsuite.training.averaging import WeightAverage, norms_of, settling
from perfsuite.training.loop import SgdPlan, TrainingProgress, rate_at, train

torch = pytest.importorskip("torch")
nn = torch.nn

PLAN = SgdPlan(epochs=3, batch=4, peak_rate=0.1, averaging=(1, 0.05), bf16=False)


def fresh() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))


def points(count: int = 16) -> TrainingSet:
    x = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)

    def loss(module: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (module(inputs + 0.1 * torch.randn_like(inputs)) - targets).square().mean()

    return TrainingSet(x, x[:, :1], lambda batch, rng: batch, loss)


def test_the_mean_of_three_times() -> None:
    layer = nn.Linear(1, 1)
    mean = WeightAverage(layer)
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(layer.weight, value)
        nn.init.constant_(layer.bias, -value)
        mean.add(layer)
    again = WeightAverage(layer)
    again.load(mean.state())
    again.give(layer)
    assert (layer.weight.item(), layer.bias.item()) == pytest.approx((3.0, -3.0))


def test_statistics_are_those_of_all_calls_and_of_norms_that_are_called() -> None:
    net = nn.ModuleDict({"called": nn.BatchNorm1d(1), "other": nn.BatchNorm1d(1)}).eval()
    nn.init.constant_(net["other"].running_mean, 7.0)
    with settling(norms_of(net)):
        for batch in ([0.0, 2.0], [4.0, 8.0]):
            net["called"](torch.tensor(batch)[:, None])
    assert net["called"].running_mean.item() == pytest.approx((1 + 6) / 2)
    assert net["called"].running_var.item() == pytest.approx((2 + 8) / 2)
    assert net["other"].running_mean.item() == 7.0
    assert [norm.momentum for norm in net.values()] == [0.1, 0.1]
    assert not any(norm.training for norm in net.values())


def test_the_rate_stays_while_weights_are_averaged() -> None:
    rates = [rate_at(PLAN, epoch, step, 4) for epoch in range(3) for step in range(4)]
    assert rates == pytest.approx([0.1, 0.1 * 3 / 3, 0.1 * 2 / 3, 0.1 * 1 / 3, *[0.05] * 8])


def test_what_comes_out_is_the_mean_of_the_last_epochs() -> None:
    net, seen = fresh(), []

    def keep(at: TrainingProgress) -> None:
        if at.epoch >= 1:
            seen.append(net[0].weight.detach().clone())

    train(net, points(), PLAN, report=keep)
    assert len(seen) == 8
    torch.testing.assert_close(net[0].weight.detach(), torch.stack(seen).mean(0))
    assert not net.training
    # 1,000 pictures are many: their statistics with the mean's weights are those that were found.
    given = net[0](torch.from_numpy(points(1000).inputs[:16]))
    torch.testing.assert_close(net[1].running_mean, given.mean(0), atol=0.1, rtol=0)


def test_a_rate_of_averaging_that_is_too_high_is_named() -> None:
    plan = SgdPlan(epochs=2, batch=4, peak_rate=1e-3, averaging=(1, 1e30), bf16=False)
    with pytest.raises(PerfsuiteError, match=r"epoch 2 of 2.*peak_rate is 0\.001, averaging is at"):
        train(fresh(), points(), plan)


@pytest.mark.parametrize("stop", [(0, 2), (1, 2), (2, 2)])
def test_a_resumed_training_has_the_mean_of_an_undisturbed_one(
    stop: tuple[int, int], tmp_path: Path
) -> None:
    def killed(at: TrainingProgress) -> None:
        if (at.epoch, at.step) == stop:
            raise KeyboardInterrupt

    whole, stopped, resumed = fresh(), fresh(), fresh()
    train(whole, points(), PLAN)
    with pytest.raises(KeyboardInterrupt):
        train(stopped, points(), PLAN, checkpoint=tmp_path / "x.pt", report=killed)
    train(resumed, points(), PLAN, checkpoint=tmp_path / "x.pt")
    assert_alike(resumed.state_dict(), whole.state_dict())


def test_norms_that_are_frozen_keep_their_statistics() -> None:
    class Frozen(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> Frozen:
            return super().train(False)

    net = fresh()
    net[1] = Frozen(3).eval()
    nn.init.constant_(net[1].running_mean, 0.5)
    train(net, points(), PLAN)
    assert net[1].running_mean.tolist() == [0.5] * 3


def test_the_teacher_is_asked_once_a_step_and_not_for_the_norms() -> None:
    asked: list[int] = []

    class Teacher(nn.Linear):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            asked.append(len(given))
            return super().forward(given)

    x = np.ones((16, 2), np.float32)
    labels = TrainingSet(x, np.arange(16) % 3, lambda batch, rng: batch)
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    plan = SgdPlan(epochs=3, batch=4, averaging=(1, 0.05), bf16=False, teacher=0.5)
    train(net, labels, plan, teacher=Teacher(2, 3))
    assert asked == [4] * 3 * 4

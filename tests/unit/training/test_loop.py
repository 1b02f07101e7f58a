"""The one training loop: its rates by hand, its losses, its checkpoints."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from alike import assert_alike

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.training.loop import AdamPlan, SgdPlan, TrainingProgress, rate_at, train

torch = pytest.importorskip("torch")

PLAN = SgdPlan(epochs=3, batch=4, peak_rate=0.05, weight_decay=0.0, bf16=False)


def line(count: int = 16) -> TrainingSet:
    """Return points of y = 3 x - 1, to be fitted by least squares."""
    x = np.linspace(-1, 1, count, dtype=np.float32)[:, None]

    def loss(module: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (module(inputs) - targets).square().mean()

    return TrainingSet(x, 3 * x - 1, lambda batch, rng: batch, loss)


def fresh() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Linear(1, 1)


def test_the_rate_rises_to_the_peak_falls_to_zero_and_restarts() -> None:
    plan = SgdPlan(epochs=4, peak_rate=1.0, warmup=0.5, restarts=((2, 0.5),))
    rates = [rate_at(plan, epoch, step, 2) for epoch in range(4) for step in range(2)]
    assert rates == [0.5, 1.0, 1.0, 0.5, 0.25, 0.5, 0.5, 0.25]


@pytest.mark.parametrize("kind", [SgdPlan, AdamPlan])
def test_a_loss_of_ones_own_is_what_is_minimised(kind: type[SgdPlan]) -> None:
    module = fresh()
    plan = kind(epochs=100, batch=4, peak_rate=0.1, weight_decay=0.0, bf16=False)
    train(module, line(), plan)
    assert module.weight.item() == pytest.approx(3.0, abs=0.02)
    assert module.bias.item() == pytest.approx(-1.0, abs=0.02)
    assert not module.training


def test_without_a_loss_targets_are_classes() -> None:
    points = np.array([[-1.0], [1.0]] * 8, np.float32)
    labels = np.array([0, 1] * 8, np.uint8)
    seen: list[TrainingProgress] = []
    module = torch.nn.Linear(1, 2)
    torch.nn.init.zeros_(module.weight)
    torch.nn.init.zeros_(module.bias)
    train(module, TrainingSet(points, labels, lambda b, rng: b), PLAN, report=seen.append)
    assert seen[0].loss == pytest.approx(np.log(2))  # nothing learnt: both classes alike
    assert seen[-1].loss < seen[0].loss
    assert (seen[-1].epoch, seen[-1].step, seen[-1].steps) == (2, 4, 4)


@pytest.mark.parametrize("kind", [SgdPlan, AdamPlan])
def test_a_resumed_training_ends_where_an_undisturbed_one_does(
    kind: type[SgdPlan], tmp_path: Path
) -> None:
    plan = kind(**msgspec.structs.asdict(PLAN))
    data = line()
    noisy = data._replace(
        loss=lambda module, x, y: (module(x + 0.1 * torch.randn_like(x)) - y).square().mean()
    )
    whole, stopped = fresh(), fresh()
    train(whole, noisy, plan)

    def stop(at: TrainingProgress) -> None:
        if (at.epoch, at.step) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(stopped, noisy, plan, checkpoint=tmp_path / "x.pt", report=stop)
    resumed = fresh()
    train(resumed, noisy, plan, checkpoint=tmp_path / "x.pt")
    assert_alike(resumed.state_dict(), whole.state_dict())


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    train(fresh(), line(), PLAN, checkpoint=tmp_path / "x.pt")
    other = msgspec.structs.replace(PLAN, seed=1)
    with pytest.raises(ConfigError, match="another plan; delete it"):
        train(fresh(), line(), other, checkpoint=tmp_path / "x.pt")


def test_long_gradients_are_shortened() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    lengths = []
    module.weight.register_post_accumulate_grad_hook(lambda p: lengths.append(p.grad.item()))

    def loss(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 1000 * module(torch.ones_like(x)).mean()

    plan = AdamPlan(epochs=1, batch=4, bf16=False, longest_gradient=0.5)
    train(module, line()._replace(loss=loss), plan)
    assert lengths == [1000.0] * 4  # what was computed
    assert module.weight.grad.item() == pytest.approx(0.5)  # and what was used


def test_too_few_samples_and_a_loss_that_diverges_are_told() -> None:
    with pytest.raises(ConfigError, match="a batch of 4 needs more than 3 samples"):
        train(fresh(), line(3), PLAN)
    endless = line()._replace(loss=lambda module, x, y: module(x).sum() * float("inf"))
    with pytest.raises(BuildError, match="lower the learning rate"):
        train(fresh(), endless, PLAN)


def test_a_net_that_cannot_be_trained_is_told() -> None:
    with pytest.raises(ConfigError, match="all weights of Linear are frozen"):
        train(fresh().requires_grad_(False), line(), PLAN)

    class Detector(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"scores": super().forward(x)}

    with pytest.raises(Unsupported, match=r"answers a dict is not known.*TrainingSet.loss"):
        train(Detector(1, 2), line()._replace(loss=None), PLAN)

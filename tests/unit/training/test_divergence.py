"""Trainings that diverge: what counts as that, what is said, what is kept."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np
import pytest

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import BuildError
from perfsuite.training.divergence import Losses
from perfsuite.training.loop import SgdPlan, train

torch = pytest.importorskip("torch")

TEN = log(10)  # what a net loses that scores ten classes alike


def first_wrong(values: list[float], steps: int, blind: float | None = None) -> tuple[int, str]:
    """Return at which value something is wrong, and what; (-1, "") if nothing is."""
    losses = Losses(steps)
    for at, value in enumerate(values):
        if told := losses.add(value, blind):
            return at, told
    return -1, ""


def test_a_loss_explodes_when_its_mean_leaves_all_bounds() -> None:
    # With a first of 2 and a best of 1 the bound is 2 + 10 + 30; ten steps are averaged over.
    calm = [2.0] * 10 + [1.0] * 10
    assert first_wrong([*calm, 411.0], 10) == (-1, "")  # mean 42
    at, told = first_wrong([*calm, 421.0], 10)
    assert (at, told) == (20, "the loss, 1 at best, became 43 (mean of 10 steps)")


def test_an_explosion_from_the_first_step_on_is_seen() -> None:
    at, _ = first_wrong([2.0 * 1.5**step for step in range(200)], 1000)
    assert at == 49  # with the first mean


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_wrong_at_once(value: float) -> None:
    assert first_wrong([1.0, value], 1000) == (1, f"the loss became {value}")


@pytest.mark.parametrize(
    "values",
    [
        [2.4] * 5 + [7.0] * 40 + [2.0] * 100 + [0.5] * 100,  # a rough start
        [2.4] * 50 + [0.001] * 200 + [1.5] * 60 + [0.001] * 100,  # a restart after a perfect fit
        [0.02] * 5 + [2.0] * 100 + [0.1] * 100,  # fine-tuning with a high rate
        [0.5] * 50 + [9.0] * 20 + [0.5] * 50,  # a rise that is over soon
        [8.0 * 0.8**step for step in range(100)],  # learnt within the first 50 steps
    ],
)
def test_rises_that_belong_to_a_schedule_are_let_pass(values: list[float]) -> None:
    assert first_wrong(values, 200, TEN) == (-1, "")


def test_losses_of_detectors_and_of_tiny_or_huge_scale_are_let_pass() -> None:
    for values in (
        [6.0] * 20 + [0.4] * 80 + [4.0] * 80,
        [1e-8] * 60 + [1.0] * 60,
        [1e4] * 60 + [1.0] * 60 + [5e3] * 60,
        [-3.0] * 60 + [20.0] * 60,
    ):
        assert first_wrong(values, 100) == (-1, "")


def test_a_classifier_that_forgets_has_collapsed() -> None:
    learnt = [0.5] * 60
    at, told = first_wrong(learnt + [2.6] * 60, 100, TEN)
    assert at == 60 + 25  # 26 of 50
    assert told == (
        "the loss, 0.5 at best, became 2.6 (median of 50 steps), and 2.3 is that of scoring all "
        "classes alike,"
    )
    assert first_wrong([0.5] + [2.6] * 60, 100, TEN)[0] == 49  # it came with what it forgot
    assert first_wrong(learnt + [2.6] * 60, 100) == (-1, "")  # who knows what else it measures
    assert first_wrong([1.3] * 60 + [2.6] * 60, 100, TEN) == (-1, "")  # it had not learnt yet


def test_losses_go_on_from_a_checkpoint() -> None:
    values = [2.0] * 30 + [1.0] * 30 + [2.0**step for step in range(30)]
    at, told = first_wrong(values, 10)
    for cut in (0, 5, 45, at):
        one = Losses(10)
        assert not any(one.add(value) for value in values[:cut])
        other = Losses(10, one.state())
        assert [other.add(value) for value in values[cut : at + 1]][-1] == told


def line() -> TrainingSet:
    x = np.linspace(-1, 1, 80, dtype=np.float32)[:, None]
    return TrainingSet(
        x, 3 * x - 1, lambda batch, rng: batch, lambda m, x, y: (m(x) - y).square().mean()
    )


@pytest.mark.parametrize("rate", [3.0, 1e30])
def test_the_checkpoint_of_before_is_kept(rate: float, tmp_path: Path) -> None:
    plan = SgdPlan(epochs=3, batch=4, peak_rate=0.05, restarts=((1, rate),), bf16=False)
    path = tmp_path / "x.pt"
    with pytest.raises(BuildError, match="it diverged; lower the") as caught:
        train(torch.nn.Linear(1, 1), line(), plan, checkpoint=path)
    told = str(caught.value)
    assert "in epoch 2 of 3, step " in told and " of 20, at a rate of " in told
    assert f"peak_rate is 0.05, restarts are {rate} at 1" in told
    assert f"The state after epoch 1 is kept in {path}" in told
    state = torch.load(path, weights_only=True)
    assert state["epochs"] == 1
    assert abs(state["module"]["weight"].item()) < 10


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    module = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(module.weight)
    data = line()._replace(loss=lambda m, x, y: m.weight.abs().sqrt().sum())  # its slope at 0: inf
    plan = SgdPlan(epochs=1, batch=80, bf16=False)
    with pytest.raises(BuildError, match="weight is not finite in epoch 1 of 1") as caught:
        train(module, data, plan, checkpoint=tmp_path / "x.pt")
    assert "kept" not in str(caught.value)
    assert not list(tmp_path.iterdir())

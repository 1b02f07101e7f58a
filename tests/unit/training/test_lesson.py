"""A loss that has weights of its own: they learn with the student, and are stored with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alike import assert_alike

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import ConfigError
from perfsuite.training.finetune import fine_tune
from perfsuite.training.loop import AdamPlan, TrainingProgress

torch = pytest.importorskip("torch")
nn = torch.nn

POINTS = np.linspace(-1, 1, 16, dtype=np.float32)[:, None]
PLAN = AdamPlan(epochs=3, batch=4, peak_rate=0.1, bf16=False, teacher=0.3, longest_gradient=0.5)


class Lesson(nn.Module):  # type: ignore[misc,name-defined]
    """The distance of a student's two features from its teacher's one, by a regressor."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight, self.regressor = weight, nn.Linear(2, 1)

    def forward(self, student: Any, teacher: Any, x: Any, y: Any) -> Any:
        assert student.training and not teacher.training
        return self.weight * (self.regressor(student(x)) - teacher(x).detach()).square().mean()


class Taught:
    def __init__(self) -> None:
        self.given: list[Lesson] = []
        self.weights: list[float] = []

    def __call__(self, *_: object) -> Any:
        raise AssertionError("the lesson is called in its place")

    def lesson(self, student: Any, teacher: Any, weight: float) -> Lesson:
        self.weights.append(weight)
        self.given.append(Lesson(weight))
        return self.given[-1]


def data(taught: Any) -> TrainingSet:
    return TrainingSet(POINTS, POINTS, lambda batch, rng: batch, lambda *_: 1 / 0, taught)


def student() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 2))


def teacher() -> Any:
    torch.manual_seed(5)
    return nn.Linear(1, 1)


def test_what_belongs_to_the_loss_learns_too() -> None:
    taught, net = Taught(), student()
    seen: list[float] = []
    plan = AdamPlan(epochs=80, batch=8, peak_rate=0.05, bf16=False, teacher=0.3)
    fine_tune(net, data(taught), plan, teacher=teacher(), report=lambda at: seen.append(at.loss))
    (lesson,) = taught.given
    assert taught.weights == [0.3]
    torch.manual_seed(plan.seed)
    assert not torch.equal(lesson.regressor.weight, Lesson(0.3).regressor.weight)
    assert seen[-1] < 0.02 * seen[0]
    assert not [name for name in net.state_dict() if "regressor" in name]


def test_a_killed_training_goes_on_with_what_the_loss_had_learnt(tmp_path: Path) -> None:
    whole, resumed, path = student(), student(), tmp_path / "x.pt"
    undisturbed, before, after = Taught(), Taught(), Taught()
    fine_tune(whole, data(undisturbed), PLAN, teacher=teacher())

    def kill(at: TrainingProgress) -> None:
        if (at.epoch, at.step) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(student(), data(before), PLAN, teacher=teacher(), checkpoint=path, report=kill)
    fine_tune(resumed, data(after), PLAN, teacher=teacher(), checkpoint=path)
    assert_alike(resumed.state_dict(), whole.state_dict())
    assert_alike(after.given[0].state_dict(), undisturbed.given[0].state_dict())


def test_a_checkpoint_without_it_is_of_another_training(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    fine_tune(student(), data(Taught()), PLAN, teacher=teacher(), checkpoint=path)
    state = torch.load(path, weights_only=True)
    del state["lesson"]
    torch.save(state, path)
    with pytest.raises(ConfigError, match="a checkpoint of another net; delete it"):
        fine_tune(student(), data(Taught()), PLAN, teacher=teacher(), checkpoint=path)


def test_a_long_gradient_is_shortened_together_with_that_of_the_student() -> None:
    short = AdamPlan(epochs=1, batch=16, bf16=False, teacher=1.0, longest_gradient=1e-3)
    taught, net = Taught(), student()
    norms: list[float] = []

    def note(at: TrainingProgress) -> None:
        parts = [*net.parameters(), *taught.given[0].parameters()]
        norms.append(float(torch.stack([one.grad.norm() for one in parts]).norm()))

    fine_tune(net, data(taught), short, teacher=teacher(), report=note)
    assert norms == [pytest.approx(1e-3, rel=1e-3)]


def test_without_a_teacher_there_is_no_lesson() -> None:
    taught = Taught()
    own = data(taught)._replace(loss=lambda module, x, y: module(x).square().mean())
    plan = AdamPlan(epochs=1, batch=16, bf16=False)
    fine_tune(student(), own, plan, teacher=teacher())
    assert taught.given == []

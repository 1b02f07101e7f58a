"""How long a training is said to take, by a clock that the nets turn themselves."""

from __future__ import annotations

import copy

import msgspec
import numpy as np
import pytest
from alike import assert_alike

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import ConfigError
from perfsuite.training import estimate
from perfsuite.training.estimate import in_words, training_s
from perfsuite.training.loop import SgdPlan

torch = pytest.importorskip("torch")

PLAN = SgdPlan(epochs=3, batch=4, peak_rate=1e6, bf16=False)
PICTURES = np.ones((8, 1, 6, 6), np.float32)


class Clock:
    """Tells a time that goes on when it is told to."""

    now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(estimate, "time", made)
    return made


def data(clock: Clock) -> TrainingSet:
    """Return pictures of which a step takes as many seconds as they have columns."""

    def loss(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        clock.now_s += x.shape[-1]
        return module(x).square().mean()

    return TrainingSet(PICTURES, np.zeros(8), lambda batch, rng: batch, loss)


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, padding=1), torch.nn.BatchNorm2d(2))


def test_every_size_of_pictures_is_timed_for_itself(clock: Clock) -> None:
    # Two steps an epoch.
    assert training_s(net(), data(clock), PLAN) == 3 * 2 * 6
    growing = msgspec.structs.replace(PLAN, sizes=((0, 4), (2, 8)))
    assert training_s(net(), data(clock), growing) == 2 * 2 * 4 + 1 * 2 * 8


def test_the_first_step_does_not_count(clock: Clock) -> None:
    slow = iter([1000.0])
    one = data(clock)

    def prepare(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        clock.now_s += next(slow, 1.0)  # so that a batch takes its time, too
        return batch

    assert training_s(net(), one._replace(prepare=prepare), PLAN) == 3 * 2 * 7


def test_nothing_is_changed_by_it(clock: Clock) -> None:
    module, teacher = net(), net()
    before, seed = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    asked: list[int] = []
    teacher.register_forward_hook(lambda *_: asked.append(1))
    plan = msgspec.structs.replace(PLAN, teacher=0.5)
    taught = data(clock)._replace(taught=lambda student, by, x, y: (student(x) - by(x)).mean())
    training_s(module, taught, plan, teacher)
    assert asked, "what the teacher takes is part of it"
    assert_alike(module.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), seed)
    asked.clear()
    training_s(module, taught, PLAN, teacher)
    assert not asked, "it has no weight"


def test_what_cannot_be_trained_is_told_before(clock: Clock) -> None:
    with pytest.raises(ConfigError, match="a batch of 9 needs more than 8 samples"):
        training_s(net(), data(clock), SgdPlan(epochs=1, batch=9))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (40.4, "40 s"),
        (89.0, "89 s"),
        (90.0, "2 min"),
        (42 * 60.0, "42 min"),
        (99 * 60.0, "99 min"),
        (100 * 60.0, "1 h 40 min"),
        (3 * 3600 + 16 * 60.0, "3 h 20 min"),
        (7198.0, "2 h"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words

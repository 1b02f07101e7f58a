"""Training samples that are held out, and what is said where there are none for validation."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite import SubsetMetric, Task, TrainingSet
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import gives_samples, main_metric
from perfsuite.errors import ConfigError, Unsupported

SET = TrainingSet(np.arange(5) * 10, np.arange(5), lambda batch, rng: batch)


def test_a_training_set_without_some_of_its_samples() -> None:
    left = SET.without(np.array([3, 0, 3]))
    assert left.inputs.tolist() == [10, 20, 40]
    assert left.targets.tolist() == [1, 2, 4]
    assert left.prepare is SET.prepare
    assert SET.without(np.array([], int)).inputs.tolist() == SET.inputs.tolist()
    assert len(SET.inputs) == 5, "the set itself stays as it is"


@pytest.mark.parametrize("places", [[5], [-1], [0, 7]])
def test_samples_that_are_not_there_cannot_be_held_out(places: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"held_out\(\) names the training samples .* are 5"):
        SET.without(np.array(places))


def test_something_must_be_left_to_train_on() -> None:
    with pytest.raises(ConfigError, match="all 5 training samples: none is left"):
        SET.without(np.arange(5))


def test_a_task_without_validation_samples_says_how_to_give_them() -> None:
    class Mine(Task):
        pass

    with pytest.raises(Unsupported, match=r"^Mine: .*`validation\(predict, samples\)`.*held_out"):
        Mine().validation(lambda inputs: [])
    assert Mine().held_out() is None


def test_whether_a_task_gives_training_samples_is_told_by_asking_it() -> None:
    def fails() -> TrainingSet:
        raise ConfigError("the file is torn")

    class Learns(Task):
        def train(self) -> TrainingSet:
            return SET

    assert not gives_samples(Task().train)
    assert gives_samples(Learns().train)
    with pytest.raises(ConfigError, match="the file is torn"):
        gives_samples(fails)


def test_the_main_metric_is_the_first() -> None:
    class Two(Task):
        def metrics(self):  # type: ignore[no-untyped-def]
            return {"seen": SubsetMetric(1, lambda rows: float(rows[:, 0].mean())), "none": max}

    rows = np.array([[1.0, 1.0], [0.5, 1.0], [0.0, 0.0]])
    assert main_metric(Two(), rows) == 0.75
    with pytest.raises(Unsupported, match="no metric"):
        main_metric(Task(), rows)


def test_a_context_made_by_hand_has_no_validation(tmp_path) -> None:  # type: ignore[no-untyped-def]
    context = PassContext(
        inputs={},
        calibration=lambda samples: iter(()),
        train=lambda: SET,
        target=Target("fake", "cpu"),
        checkpoint=tmp_path,
        progress=lambda done, total: None,
        latency_s=lambda candidates, cold_bytes=0: (),
    )
    with pytest.raises(Unsupported):
        context.validation(lambda inputs: [])
    with pytest.raises(Unsupported):
        context.metric(np.zeros((1, 1)))

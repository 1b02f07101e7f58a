"""Answers that differ from the model's, and what is said where they are detections."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.domain.task import Outputs, Task
from perfsuite.errors import ParityError
from perfsuite.runner.build.reference import differences

HINT = "give the task a method agreement(expected, answered, precision) (perfsuite.Task.agreement)"


def boxes(count: int, *lead: int) -> Outputs:
    """Return boxes, labels and scores, as torchvision's detectors do."""
    rng = np.random.default_rng(0)
    shape = (*lead, count)
    return [rng.random((*shape, 4)), np.ones(shape), rng.random(shape)]


@pytest.mark.parametrize("lead", [(), (1,)])
def test_detections_in_another_order_name_the_method_that_compares_them(
    lead: tuple[int, ...],
) -> None:
    expected = boxes(5, *lead)
    moved = [one[::-1] if not lead else one[:, ::-1] for one in expected]
    for other in (moved, boxes(4, *lead)):
        with pytest.raises(ParityError) as caught:
            differences(Task(), expected, other, ["boxes", "labels", "scores"], "fp32")
        assert str(caught.value).endswith(f"to have them compared as sets, {HINT}")


def test_other_answers_are_told_as_they_are() -> None:
    scores = [np.array([[0.0, 1.0, 2.0, 3.0]])]
    with pytest.raises(ParityError) as caught:
        differences(Task(), scores, [scores[0] + 1.0], ["scores"], "fp32")
    assert "agreement" not in str(caught.value)


def test_a_task_that_compares_detections_is_asked() -> None:
    class Own(Task):
        def agreement(
            self, expected: Outputs, answered: Outputs, precision: str
        ) -> dict[str, float]:
            return {"unmatched": 1.0}

    found = differences(Own(), boxes(5), boxes(4), ["boxes", "labels", "scores"], "fp32")
    assert found == {"unmatched": 1.0}

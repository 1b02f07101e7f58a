"""A detector that is taught: its loss by hand, what is 0 for the teacher itself, what learns."""

from __future__ import annotations

import copy
from math import log
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alike import assert_alike
from small_detector import SMALL, picture, small

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import Unsupported
from perfsuite.training.finetune import fine_tune
from perfsuite.training.loop import AdamPlan, TrainingProgress
from perfsuite.workloads.tasks import detection
from perfsuite.workloads.tasks.detection_lesson import (
    DetectionTaught,
    bounded,
    divergence,
    divergence_of_two,
    hint,
)

torch = pytest.importorskip("torch")
nn = torch.nn

BOXES = torch.tensor(
    [[[1.0, 10, 10, 30, 40], [3.0, 40, 5, 60, 30]], [[2.0, 20, 12, 50, 36], [0.0, 0, 0, 0, 0]]]
)


def pictures() -> Any:
    return torch.cat([picture(0), picture(1)])


def taught(student: Any, teacher: Any, weight: float = 1.0) -> tuple[Any, Any]:
    """Return the loss of a student in training mode, and the lesson with what learns along."""
    lesson = DetectionTaught().lesson(student, teacher, weight).train()
    student.train()
    torch.manual_seed(3)
    return lesson(student, teacher.eval(), pictures(), BOXES.clone()), lesson


def test_class_scores_by_hand() -> None:
    scores, wanted = torch.tensor([[0.0, 0.0]]), torch.tensor([[log(3.0), 0.0]])
    expected = 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5)
    assert divergence(scores, wanted).item() == pytest.approx(expected)
    # A place that is right counts in the mean; a score alone is one class against none.
    both = torch.cat([scores, wanted]), torch.cat([wanted, wanted])
    assert divergence(*both).item() == pytest.approx(expected / 2)
    single = divergence_of_two(torch.zeros(1, 1), torch.full((1, 1), log(3.0)))
    assert single.item() == pytest.approx(expected)


def test_boxes_that_miss_no_more_than_the_teachers_are_left_alone() -> None:
    aims = torch.zeros(3, 4)
    told = torch.tensor([[1.0, 0, 0, 0], [1.0, 0, 0, 0], [0.5, 0, 0, 0]])
    found = torch.tensor([[0.9, 0, 0, 0], [1.0, 0, 0, 0], [-2.0, 0, 1.0, 0]])
    # Beyond 1/9 the loss is the distance less 1/18, for each of the two sides.
    assert bounded(found, told, aims).item() == pytest.approx(2 + 1 - 2 / 18)
    assert bounded(told, told, aims).item() == 0.0
    assert bounded(found[:0], told[:0], aims[:0]).item() == 0.0


def test_hints_are_relative_to_the_teachers_features() -> None:
    found = {"0": torch.full((1, 2, 2, 2), 3.0), "1": torch.ones(1, 2, 1, 1), "pool": torch.ones(1)}
    told = {"0": torch.full((1, 2, 2, 2), 2.0), "1": torch.ones(1, 2, 1, 1)}
    assert hint(found, told, nn.Identity(), ["0", "1"]).item() == pytest.approx((1 / 4 + 0) / 2)
    larger = {name: 10 * value for name, value in told.items()}
    scaled = {name: 10 * value for name, value in found.items()}
    assert hint(scaled, larger, nn.Identity(), ["0", "1"]).item() == pytest.approx(1 / 8)
    nothing = {name: 0 * value for name, value in told.items()}
    assert hint(nothing, nothing, nn.Identity(), ["0"]).item() == 0.0
    with pytest.raises(Unsupported, match=r"levels 0 of features cannot learn from .* has 2, 3"):
        hint(found, {"2": told["0"], "3": told["0"]}, nn.Identity(), ["0"])


def test_a_student_that_is_its_teacher_has_nothing_to_learn() -> None:
    teacher = small()
    student = copy.deepcopy(teacher)
    loss, lesson = taught(student, teacher)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert not list(lesson.parameters())
    with torch.no_grad():
        student.roi_heads.box_predictor.cls_score.weight.mul_(0.5)
    assert taught(student, teacher)[0].item() > 0.01


def test_without_weight_the_loss_is_the_tasks_own() -> None:
    teacher, student = small(channels=6), small()
    loss, _ = taught(student, teacher, 0.0)
    torch.manual_seed(3)
    assert loss.item() == pytest.approx(
        detection.loss(student.train(), pictures(), BOXES.clone()).item(), rel=1e-5
    )
    half, _ = taught(student, teacher, 0.5)
    whole, _ = taught(student, teacher, 1.0)
    assert half.item() == pytest.approx((loss.item() + whole.item()) / 2, rel=1e-4)


def test_the_student_learns_down_to_its_first_layer_and_the_teacher_does_not() -> None:
    teacher, student = small(channels=6), small()
    before = copy.deepcopy(teacher.state_dict())
    loss, lesson = taught(student, teacher)
    loss.backward()
    assert student.backbone.body.stem[0].weight.grad.abs().sum() > 0
    assert student.rpn.head.cls_logits.weight.grad.abs().sum() > 0
    assert lesson.regressor.weight.shape == (6, 8, 1, 1)
    assert lesson.regressor.weight.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(torch.equal(before[name], now) for name, now in teacher.state_dict().items())


def test_a_step_alone_counts_the_teacher_half() -> None:
    teacher, student = small(), small()
    student.train()
    torch.manual_seed(3)
    loss = DetectionTaught()(student, teacher, pictures(), BOXES.clone())
    assert loss.item() > 0


def test_a_killed_training_of_a_detector_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    images, boxes = pictures().repeat(2, 1, 1, 1).numpy(), BOXES.repeat(2, 1, 1).numpy()
    own = TrainingSet(images, boxes, lambda batch, _: batch, detection.loss, DetectionTaught())
    plan = AdamPlan(epochs=3, batch=2, peak_rate=1e-3, bf16=False, teacher=0.5)
    whole, killed, resumed, path = small(), small(), small(), tmp_path / "x.pt"
    fine_tune(whole, own, plan, teacher=small(channels=6))

    def kill(at: TrainingProgress) -> None:
        if (at.epoch, at.step) == (1, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(killed, own, plan, teacher=small(channels=6), checkpoint=path, report=kill)
    fine_tune(resumed, own, plan, teacher=small(channels=6), checkpoint=path)
    assert_alike(resumed.state_dict(), whole.state_dict())
    assert not torch.equal(whole.backbone.body.stem[0].weight, small().backbone.body.stem[0].weight)


def test_detectors_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        Unsupported, match="Linear has no transform, backbone, rpn, roi_heads; dete"
    ):
        DetectionTaught().lesson(small(), nn.Linear(1, 1), 0.5)
    with pytest.raises(Unsupported, match=r"has classes \(\d+, 4\) cannot .* has \(\d+, 6\)"):
        taught(small(), small(classes=5))
    other = msgspec.structs.replace(SMALL, anchors=((8, 12), (16, 24), (32, 48)))
    with pytest.raises(Unsupported, match="a student that has anchors"):
        taught(small(), small(sizes=other))
    larger = msgspec.structs.replace(SMALL, width=128)
    with pytest.raises(Unsupported, match="a student that has pictures of the size"):
        taught(small(), small(sizes=larger))

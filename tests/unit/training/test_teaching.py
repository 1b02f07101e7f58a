"""The distance of a student's scores from its teacher's: by hand, and what it must obey."""

from __future__ import annotations

from math import log
from typing import Any

import msgspec
import pytest

from perfsuite.training.teaching import Teaching

torch = pytest.importorskip("torch")

LABELS = torch.zeros(2, dtype=torch.uint8)  # the first class is right


def scores(*shares: float, temperature: float = 1.0) -> torch.Tensor:
    """Return the scores of two samples, which divided by the temperature have these shares."""
    return temperature * torch.tensor([shares, shares]).log()


def test_decoupled_by_hand() -> None:
    teaching = Teaching("dkd", temperature=2.0, alpha=2.0, beta=3.0)
    student, teacher = (0.5, 0.25, 0.25), (0.25, 0.5, 0.25)
    loss, blind = teaching.distance(
        scores(*student, temperature=2.0), scores(*teacher, temperature=2.0), LABELS
    )
    right = 0.25 * log(0.25 / 0.5) + 0.75 * log(0.75 / 0.5)
    others = 2 / 3 * log(2 / 3 / 0.5) + 1 / 3 * log(1 / 3 / 0.5)
    assert loss.item() == pytest.approx(4.0 * (2.0 * right + 3.0 * others))
    # One whose scores are equal: a third for the right class, and halves among the others.
    equal = 0.25 * log(0.25 * 3) + 0.75 * log(0.75 * 3 / 2)
    assert blind == pytest.approx(4.0 * (2.0 * equal + 3.0 * others))


def test_the_parts_weighed_by_the_teacher_are_hinton_s() -> None:
    student, teacher = scores(0.1, 0.2, 0.3, 0.4), scores(0.7, 0.1, 0.15, 0.05)
    whole = Teaching("kd", temperature=1.0).distance(student, teacher, LABELS)
    parts = Teaching("dkd", temperature=1.0, alpha=1.0, beta=0.3).distance(student, teacher, LABELS)
    assert parts[0].item() == pytest.approx(whole[0].item())
    assert parts[1] == pytest.approx(whole[1])


def test_of_two_classes_there_is_no_other() -> None:
    student, teacher = scores(0.2, 0.8), scores(0.6, 0.4)
    (whole, _), (parts, _) = (
        Teaching(kind).distance(student, teacher, LABELS)  # type: ignore[arg-type]
        for kind in ("kd", "dkd")
    )
    assert parts.item() == pytest.approx(whole.item(), rel=1e-4)


@pytest.mark.parametrize("kind", ["kd", "dkd"])
def test_a_student_like_its_teacher_has_none_and_classes_may_be_pixels(kind: Any) -> None:
    one, other = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[0.0, 1.0, 5.0]])
    teaching = Teaching(kind)
    assert teaching.distance(one, one, LABELS[:1])[0].item() == pytest.approx(0.0, abs=1e-6)
    pixels, others = (each[:, :, None].expand(1, 3, 4) for each in (one, other))
    many = teaching.distance(pixels, others, torch.zeros(1, 4, dtype=torch.int64))
    single = teaching.distance(one, other, LABELS[:1])
    assert many[0].item() == pytest.approx(single[0].item())
    assert many[1] == pytest.approx(single[1])


@pytest.mark.parametrize("kind", ["kd", "dkd"])
def test_a_teacher_that_is_sure_gives_finite_gradients(kind: Any) -> None:
    student = torch.zeros(2, 4, requires_grad=True)
    teacher = torch.tensor([[4000.0, 0.0, -50.0, 3.0], [0.0, 4000.0, 0.0, 0.0]])
    loss, _ = Teaching(kind).distance(student, teacher, LABELS)
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()
    assert student.grad[0, 0] < 0 < student.grad[0, 1], "the first class is to score more"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0.0; it must be above 0"),
        ({"temperature": float("nan")}, "temperature is nan; it must be above 0"),
        ({"kind": "dkd", "alpha": -1.0}, "alpha is -1.0; it must be at least 0"),
        ({"kind": "dkd", "beta": float("inf")}, "beta is inf; it must be at least 0"),
        ({"beta": 2.0}, "alpha and beta are for kind 'dkd'"),
    ],
)
def test_values_out_of_range_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(fields, Teaching)

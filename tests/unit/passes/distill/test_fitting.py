"""Whether a student can take its teacher's place, and what is said where it cannot."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_detector import small

from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.models.students import Pictures
from perfsuite.passes.distill.fitting import check_fits, pictures_of

torch = pytest.importorskip("torch")

IMAGES = {"image": np.ones((2, 3, 6, 8), np.float32)}
Pair = namedtuple("Pair", "boxes scores")


class Answers(torch.nn.Module):
    """Answers what a function makes of its input."""

    def __init__(self, answer: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, image: torch.Tensor) -> Any:
        return self.answer(image)


def rows(*shape: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda image: torch.zeros(shape)


def fits(student: Callable[..., Any], teacher: Callable[..., Any]) -> None:
    check_fits("small", Answers(student), Answers(teacher), IMAGES)


def test_the_number_of_classes_is_that_of_the_teachers_answer() -> None:
    teacher = Answers(rows(2, 7))
    assert pictures_of("vgg-narrow", teacher, IMAGES) == Pictures(3, 6, 8, 7)


@pytest.mark.parametrize(
    ("answer", "inputs", "told"),
    [
        (
            rows(2, 7, 4),
            IMAGES,
            r"takes image float32 \(2, 3, 6, 8\) and gives 1 output: \(2, 7",
        ),
        (rows(3, 7), IMAGES, r".* and gives 1 output: \(3, 7\)"),
        (lambda image: (image, image), IMAGES, ".* and gives 2 outputs: "),
        (rows(2, 7), {"x": np.ones((2, 5), np.float32)}, r"takes x float32 \(2, 5\)"),
        (rows(2, 7), {"x": np.ones((2, 3, 6, 8), np.int64)}, "takes x int64"),
    ],
)
def test_a_net_of_the_table_replaces_classifiers_of_pictures_alone(
    answer: Callable[..., Any], inputs: dict[str, np.ndarray], told: str
) -> None:
    with pytest.raises(Unsupported, match=rf"vgg-narrow classifies pictures.*Answers, {told}"):
        pictures_of("vgg-narrow", Answers(answer), inputs)
    with pytest.raises(Unsupported, match=r'name a student of your own \(student = "my_models'):
        pictures_of("vgg-narrow", Answers(answer), inputs)


def test_outputs_of_the_same_form_fit() -> None:
    fits(rows(2, 7), rows(2, 7))
    fits(lambda image: {"logits": torch.ones(2, 7)}, lambda image: {"logits": torch.zeros(2, 7)})


def test_of_several_outputs_the_number_of_rows_may_differ() -> None:
    def found(count: int) -> Callable[[torch.Tensor], Any]:
        return lambda image: Pair(torch.zeros(count, 4), torch.zeros(count))

    fits(found(5), found(2))
    fits(found(0), found(2))
    with pytest.raises(ConfigError, match=r"gives 2 outputs: boxes \(3, 4\), scores \(3,\)"):
        fits(lambda image: Pair(torch.zeros(5, 5), torch.zeros(5)), found(3))


@pytest.mark.parametrize(
    ("student", "teacher", "told"),
    [
        (
            rows(2, 8),
            rows(2, 7),
            r"gives 1 output: \(2, 8\), and the teacher, Answers, gives 1 out",
        ),
        (rows(4, 7), rows(2, 7), r"gives 1 output: \(4, 7\), and the teacher"),
        (rows(2, 7, 1), rows(2, 7), r"gives 1 output: \(2, 7, 1\), .*: \(2, 7\); a student t"),
        (lambda image: (image, image), lambda image: image, "gives 2 outputs: .* gives 1 o"),
        (
            lambda image: {"out": torch.zeros(2, 7)},
            lambda image: {"logits": torch.zeros(2, 7)},
            r"gives 1 output: out \(2, 7\), .* gives 1 output: logits \(2, 7\)",
        ),
        (rows(2, 7), lambda image: {"logits": torch.zeros(2, 7)}, r"gives 1 output: \(2, 7\),"),
    ],
)
def test_other_outputs_are_told_with_both_names(
    student: Callable[..., Any], teacher: Callable[..., Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=f"student 'small': it {told}"):
        fits(student, teacher)


def test_a_student_that_does_not_take_the_inputs_is_told_with_its_line() -> None:
    def answer(image: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(image, torch.zeros(7, 5))

    with pytest.raises(ConfigError) as caught:
        fits(answer, rows(2, 7))
    told, line = str(caught.value).split(" failed in line ")
    assert told == (
        "student 'small': its forward on what the teacher takes (image float32 (2, 3, 6, 8))"
    )
    assert "test_fitting.py with RuntimeError: " in line


class TwoInputs(torch.nn.Module):
    """A teacher of a picture and a text."""

    def forward(self, image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return text + image.mean()


class Tables(torch.nn.Module):
    """Takes all inputs in one table, of which it wants another one."""

    def forward(self, given: dict[str, torch.Tensor]) -> torch.Tensor:
        return given["sound"]


BOTH = {**IMAGES, "text": np.ones((2, 5), np.float32)}


@pytest.mark.parametrize(
    ("student", "teacher", "inputs", "told"),
    [
        (
            torch.nn.Sequential(torch.nn.Flatten()),
            TwoInputs(),
            BOTH,
            "takes 1 input (input), and the teacher, TwoInputs, takes 2: image float32 (2, 3, 6, "
            "8), text float32 (2, 5); a student takes its teacher's place, so it must take the "
            "same inputs",
        ),
        (
            TwoInputs(),
            Answers(rows(2, 7)),
            IMAGES,
            "takes 2 inputs (image, text), and the teacher, Answers, takes 1: image float32 (2, 3, "
            "6, 8); a student takes its teacher's place, so it must take the same inputs",
        ),
    ],
)
def test_a_student_of_another_number_of_inputs_is_told_with_both(
    student: torch.nn.Module, teacher: torch.nn.Module, inputs: Any, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_fits("small", student, teacher, inputs)
    assert str(caught.value) == f"student 'small': its forward {told}"


def test_a_student_that_takes_all_inputs_in_one_table_is_told_its_own_error() -> None:
    with pytest.raises(ConfigError, match="with KeyError: 'sound'"):
        check_fits("small", Tables(), TwoInputs(), BOTH)


def test_answers_that_are_not_finite_teach_nothing() -> None:
    def nothing(image: torch.Tensor) -> torch.Tensor:
        return torch.full((2, 7), float("nan"))

    with pytest.raises(BuildError, match="the teacher, Answers, answers NaN or infinite values"):
        fits(rows(2, 7), nothing)
    with pytest.raises(BuildError, match="the student 'small', as it is initialized, answers NaN"):
        fits(nothing, rows(2, 7))


def test_a_detector_of_the_table_has_as_many_classes_as_its_teacher() -> None:
    images = {"images": np.ones((1, 3, 48, 72), np.float32)}
    name = "faster-rcnn-shufflenet-x0.5"
    assert pictures_of(name, small(classes=4), images) == Pictures(3, 48, 72, 4)
    with pytest.raises(
        Unsupported, match=r"detects objects .* teacher, Answers, takes image float"
    ):
        pictures_of(name, Answers(rows(2, 7)), IMAGES)
    with pytest.raises(Unsupported, match=r"vgg-narrow classifies pictures.* gives 3 outputs"):
        pictures_of("vgg-narrow", small(), images)

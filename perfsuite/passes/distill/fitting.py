"""Whether a student can take its teacher's place: the same inputs, outputs of the same form."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.export.calls import called, evaluated, lacks_places, tensors_in
from perfsuite.models.students import STUDENTS, Pictures
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    import torch
    from torch import nn


def pictures_of(student: str, teacher: nn.Module, inputs: Inputs) -> Pictures:
    """Return what a net of the table must be built for to take the teacher's place.

    The number of classes is that of the teacher's own answer. Raises `Unsupported` for a teacher
    that is no classifier of pictures, or, for a detector, none in torchvision's parts.
    """
    if STUDENTS[student]().detects:
        return _detected(student, teacher, inputs)
    outputs = _answer(teacher, inputs)[1]
    given = list(inputs.values())
    if (
        len(given) != 1
        or given[0].ndim != 4
        or given[0].dtype.kind != "f"
        or len(outputs) != 1
        or outputs[0].ndim != 2
        or len(outputs[0]) != len(given[0])
    ):
        raise Unsupported(
            f"distill: {student} classifies pictures: it takes one input of floats (samples, "
            f"channels, height, width) and gives one output (samples, classes); the teacher, "
            f"{_name(teacher)}, takes {_told_inputs(inputs)} and gives {_told(None, outputs)}; "
            f'name a student of your own (student = "my_models.py:small")'
        )
    _, channels, height, width = given[0].shape
    return Pictures(int(channels), int(height), int(width), int(outputs[0].shape[1]))


def _detected(student: str, teacher: Any, inputs: Inputs) -> Pictures:
    """Return the same for a detector: its classes are those of its teacher's box head."""
    try:
        classes = int(teacher.roi_heads.box_predictor.cls_score.out_features) - 1  # the background
        (images,) = inputs.values()
        _, channels, height, width = images.shape
    except (AttributeError, TypeError, ValueError) as error:
        raise Unsupported(
            f"distill: {student} detects objects in one input of pictures, as torchvision's Faster "
            f"R-CNN does; the teacher, {_name(teacher)}, takes {_told_inputs(inputs)}, and its "
            f"classes cannot be told by roi_heads.box_predictor.cls_score; name a student of your "
            f'own (student = "my_models.py:small")'
        ) from error
    return Pictures(int(channels), int(height), int(width), classes)


def check_fits(student: str, module: nn.Module, teacher: nn.Module, inputs: Inputs) -> None:
    """Raise unless `module` takes what the teacher takes, and gives outputs like the teacher's.

    They must have the same number, the same names if they have any, and the same shapes; of several
    outputs the number of rows may differ, as it does between sets of detections. Raises
    `ConfigError` for a student that does not fit, `BuildError` where either net's answers are not
    finite.
    """
    names, wanted = _answer(teacher, inputs)
    _check_finite(f"the teacher, {_name(teacher)},", wanted)
    whose = f"student '{student}': its forward on what the teacher takes ({_told_inputs(inputs)})"
    try:
        with user_code(whose, ConfigError):
            own_names, answered = _answer(module, inputs)
    except ConfigError as error:
        taken = lacks_places(module, len(inputs))
        if not taken:
            raise
        raise ConfigError(
            f"student '{student}': its forward takes {taken}, and the teacher, {_name(teacher)}, "
            f"takes {len(inputs)}: {_told_inputs(inputs)}; a student takes its teacher's place, so "
            f"it must take the same inputs"
        ) from error
    # Several outputs may be detections, of which each net finds as many as it likes.
    counted = len(wanted) == 1
    alike = len(wanted) == len(answered) and all(
        _alike(mine, theirs, counted) for mine, theirs in zip(answered, wanted, strict=True)
    )
    if names != own_names or not alike:
        raise ConfigError(
            f"student '{student}': it gives {_told(own_names, answered)}, and the teacher, "
            f"{_name(teacher)}, gives {_told(names, wanted)}; a student takes its teacher's place, "
            f"so its outputs must be as many, with the same names and shapes"
        )
    _check_finite(f"the student '{student}', as it is initialized,", answered)


def _answer(module: nn.Module, inputs: Inputs) -> tuple[list[str] | None, list[torch.Tensor]]:
    """Return the names of a net's outputs, None if they have none, and the outputs."""
    import torch

    with torch.no_grad():
        found = called(evaluated(module), inputs)
    return _names(found), tensors_in(found, _name(module))


def _names(found: Any) -> list[str] | None:
    if isinstance(found, Mapping):
        return [str(name) for name in found]
    if dataclasses.is_dataclass(found):
        return [field.name for field in dataclasses.fields(found)]
    return list(found._fields) if hasattr(found, "_fields") else None


def _alike(mine: torch.Tensor, theirs: torch.Tensor, counted: bool) -> bool:
    """Tell whether shapes are the same, but for the number of rows unless it is `counted`."""
    if counted or mine.ndim != theirs.ndim or not mine.ndim:
        return mine.shape == theirs.shape
    return mine.shape[1:] == theirs.shape[1:]


def _check_finite(whose: str, outputs: Sequence[torch.Tensor]) -> None:
    for place, output in enumerate(outputs):
        if not output.isfinite().all():
            raise BuildError(
                f"distill: {whose} answers NaN or infinite values in output {place} on the task's "
                f"inputs, and nothing can be learnt of these; mend the net or its inputs"
            )


def _name(module: nn.Module) -> str:
    return type(module).__name__


def _told_inputs(inputs: Inputs) -> str:
    return ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in inputs.items())


def _told(names: Sequence[str] | None, outputs: Sequence[torch.Tensor]) -> str:
    """Return the outputs in words, such as `2 outputs: boxes (3, 4), scores (3,)`."""
    shapes = [str(tuple(output.shape)) for output in outputs]
    if names is not None and len(names) == len(shapes):
        shapes = [f"{name} {shape}" for name, shape in zip(names, shapes, strict=True)]
    count = f"{len(shapes)} output{'s' * (len(shapes) != 1)}"
    return f"{count}: {', '.join(shapes)}" if shapes else count

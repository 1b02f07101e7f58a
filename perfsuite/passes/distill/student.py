"""The net that learns: one of the table of students, or a user's own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from perfsuite import plugins
from perfsuite.domain.model import Model, Stage
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.export.spans import methods
from perfsuite.export.state import check_loaded, on_processor, state_parts
from perfsuite.models.students import STUDENTS, Pictures
from perfsuite.passes.shared.invocation import copied
from perfsuite.store.cache import key_of
from perfsuite.user_code import kind_of, user_code

if TYPE_CHECKING:
    from torch import nn

_LAYERS = 4  # a function may give a workload, whose model has a function, which gives the net


class Made(NamedTuple):
    """A student as it is initialized, and its stages, if it says any."""

    module: nn.Module
    stages: tuple[Stage, ...]


def is_of_table(reference: str) -> bool:
    """Tell whether a student is one of perfsuite's own, which are built for given pictures."""
    return reference in STUDENTS


def check_student(reference: str) -> None:
    """Raise `ConfigError` for a student that is not there; a user's file is parsed, not run."""
    plugins.check_exists("student", reference, STUDENTS)


def make(reference: str, pictures: Pictures | None, seed: int) -> Made:
    """Return the student, with weights drawn by `seed` unless it brings its own.

    Those of the table are built for `pictures`, which are None for a user's own. What a user's file
    names is a `perfsuite.Model` or a `perfsuite.Workload`, or a function without arguments that
    returns a torch module or one of these. Raises `ConfigError` for anything else, and for stages
    that the student has not.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if pictures is None:
            return _own(reference)
        student = STUDENTS[reference]()
        return Made(student.build(pictures), student.stages)


@cache
def state_key(reference: str, seed: int) -> str:
    """Return a key of the weights that a user's own student begins with.

    Its file may read them from anywhere. Raises `ConfigError` for one that draws others each time.
    """
    first, second = (key_of(*state_parts(make(reference, None, seed).module)) for _ in range(2))
    if first != second:
        raise ConfigError(
            f"student '{reference}': it has other weights each time it is built, though torch's "
            f"generator is seeded before; seed what else it draws from, such as NumPy's"
        )
    return first


def _own(reference: str) -> Made:
    from torch import nn

    whose = f"student '{reference}'"
    found: Any = plugins.load("student", reference, {})
    stages: tuple[Stage, ...] = ()
    for _ in range(_LAYERS):
        if isinstance(found, nn.Module):
            break
        if isinstance(found, Workload):
            found = found.model
        elif isinstance(found, Model):
            stages, found = found.stages, found.build
        elif callable(found):
            with user_code(f"{whose}: building it", ConfigError):
                found = found()
    if not isinstance(found, nn.Module):
        raise ConfigError(
            f"{whose} must be a function that returns a torch.nn.Module, or a perfsuite.Model that "
            f"is one; it gives {kind_of(found)}"
        )
    check_loaded(found, whose)
    module = copied(on_processor(found))  # a function may return the same object each time
    try:
        methods(module, [prefix for stage in stages for prefix in stage.modules])
    except ConfigError as error:
        raise ConfigError(f"{whose}: its stages: {error}") from error
    return Made(module, stages)

"""Whether what a task declares of its preprocessing is what it does."""

from __future__ import annotations

import numpy as np

from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.domain.task import Task
from perfsuite.errors import Unsupported
from perfsuite.workloads.tasks.classification import Classification

_INPUTS = 8  # samples
_BEYOND = 0.1  # of the range of values, by which pictures that were scaled may overshoot it
ALIKE = 1e-6  # by how much values of about 1 may differ, for another order of the same operations


def preprocessing_fault(task: Task) -> str:
    """Return how a task's `preprocessing` contradicts its inputs; '' if it does not, or lacks.

    Random pictures are made into inputs by both, where the task makes inputs of pictures.
    """
    how = task.preprocessing()
    if how is None:
        return ""
    stored = np.random.default_rng(0).integers(0, 256, (2, how.height, how.width, how.channels))
    stored = stored.astype(np.uint8)
    made, given = how(stored), task.inputs(1, 0)
    words = {name: (str(array.dtype), array.shape[1:]) for name, array in given.items()}
    if words != {how.input: (str(made.dtype), made.shape[1:])}:
        return (
            f"its preprocessing() gives '{how.input}' as {made.dtype} {made.shape[1:]} for each "
            f"sample, and its inputs() {words}"
        )
    own = _own(task, how, stored)
    if own is None:
        return _outside(how, task.inputs(_INPUTS, 0)[how.input])
    apart = float(np.abs(own.astype(np.float64) - made).max())
    allowed = ALIKE * max(1.0, float(np.abs(made).max()))
    if own.shape == made.shape and apart <= allowed:
        return ""
    return (
        f"its preprocessing() gives other values than the task itself makes of a picture: they "
        f"differ by up to {apart:.3g}"
    )


def is_compared(task: Task) -> bool:
    """Tell whether what a task declares can be held against what it makes of a picture."""
    how = task.preprocessing()
    if how is None:
        return False
    return _own(task, how, np.zeros((1, how.height, how.width, how.channels), np.uint8)) is not None


def _outside(how: Preprocessing, given: np.ndarray) -> str:
    """Return that inputs have values that no picture can give by `how`; '' if they have none."""
    black = np.zeros((1, how.height, how.width, how.channels), np.uint8)
    ends = np.stack([how(black), how(np.full_like(black, 255))]).astype(np.float64)
    low, high = ends.min(axis=0), ends.max(axis=0)
    beyond = float(np.maximum(given - high, low - given).max())
    if beyond <= _BEYOND * float((high - low).max()):
        return ""
    return (
        f"its preprocessing() gives values from {low.min():.3g} to {high.max():.3g}, and its "
        f"inputs() has {given.min():.3g} to {given.max():.3g}"
    )


def _own(task: Task, how: Preprocessing, stored: np.ndarray) -> np.ndarray | None:
    """Return what the task makes of stored pictures; None for one that makes nothing of any."""
    if isinstance(task, Classification):
        return task.prepare(stored)
    try:
        return np.concatenate([task.from_picture(one)[how.input] for one in stored])
    except Unsupported:
        return None

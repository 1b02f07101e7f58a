"""How alike the answers of a lossy variant are to those of the fp32 model: a fact, no judgement."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from math import prod
from statistics import fmean

import numpy as np

from perfsuite.domain.record import Likeness
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.runner.build.reference import are_detections

SETS = "the order of its values has no meaning"
NOT_FLOAT = "its values are no fractions"
OTHER_SHAPE = "its shape depends on the answers"
NOT_FINITE = "no value of it is finite"

_CALLS = 4  # with calibration samples


def calls_like(example: Inputs, task: Task, per_call: Collection[str] = ()) -> list[Inputs]:
    """Return some calibration samples of the task, in calls like `example`.

    The inputs `per_call` are the same for all samples of a call, and count none. Where all are, a
    call is a sample.
    """
    candidates = (name for name, one in example.items() if one.ndim and name not in per_call)
    counting = next(candidates, None)
    count = 1 if counting is None else len(example[counting])
    calls: list[Inputs] = []
    for batch in task.calibration(_CALLS * count):
        for place in range(0, 1 if counting is None else len(batch[counting]), count):
            call = {
                name: batch[name] if batch[name].shape == one.shape else batch[name][place:][:count]
                for name, one in example.items()
            }
            alike = all(call[name].shape == one.shape for name, one in example.items())
            calls += [call] if alike else []
    return calls[:_CALLS]


def likeness(
    task: Task,
    manifest: Manifest,
    given: Sequence[Inputs],
    expected: Sequence[Outputs],
    answered: Sequence[Outputs],
) -> tuple[Likeness, ...]:
    """Return the likeness of each output, over all samples of all calls, to which were `given`.

    Left out are outputs that a cosine says nothing of: of integers, of a number of values that
    changes, as of detections, and all of a task that compares them by its own `agreement` or whose
    answers look like boxes in the order of their scores.
    """
    names = manifest.outputs
    if not expected or not all(len(one) == len(names) for one in (*expected, *answered)):
        return ()
    own = task.agreement(expected[0], expected[0], manifest.precision)
    if own is not None or any(_are_sets(one, manifest.batch) for one in expected):
        return tuple(Likeness(name, left_out=SETS) for name in names)
    sizes = [tuple(array.shape for array in one.values()) for one in given]
    return tuple(
        _of_output(
            name, sizes, [one[at] for one in expected], [one[at] for one in answered], manifest
        )
        for at, name in enumerate(names)
    )


def _are_sets(outputs: Outputs, batch: int) -> bool:
    """Tell whether answers look like several boxes for a sample, with a number for each."""
    several = any(one.ndim >= 2 and prod(one.shape[:-1]) > batch for one in outputs)
    return several and are_detections(outputs)


def _of_output(
    name: str,
    sizes: Sequence[tuple[tuple[int, ...], ...]],
    expected: Sequence[np.ndarray],
    answered: Sequence[np.ndarray],
    manifest: Manifest,
) -> Likeness:
    if not all(np.issubdtype(one.dtype, np.floating) for one in (*expected, *answered)):
        return Likeness(name, left_out=NOT_FLOAT)
    pairs = list(zip(expected, answered, strict=True))
    shapes = {(size, b.shape) for size, b in zip(sizes, expected, strict=True)}
    if any(b.shape != a.shape for b, a in pairs) or len(shapes) > len(set(sizes)):
        return Likeness(name, left_out=OTHER_SHAPE)
    found = [one for b, a in pairs for one in _of_samples(b, a, manifest.batch)]
    if not found:
        return Likeness(name, left_out=NOT_FINITE)
    cosines, errors = zip(*found, strict=True)
    return Likeness(name, fmean(cosines), fmean(errors), len(found))


def _of_samples(b: np.ndarray, a: np.ndarray, batch: int) -> Iterator[tuple[float, float]]:
    """Yield the cosine and the relative error of each sample, over values that are finite in both.

    An answer of zeros alone is like another such, and unlike all others.
    """
    count = batch if b.shape[:1] == (batch,) else 1
    for one, other in zip(b.reshape(count, -1), a.reshape(count, -1), strict=True):
        finite = np.isfinite(one) & np.isfinite(other)
        x, y = one[finite].astype(np.float64), other[finite].astype(np.float64)
        if not x.size:
            continue
        lengths = float(np.linalg.norm(x)), float(np.linalg.norm(y))
        if not all(lengths):
            same = not any(lengths)
            yield float(same), float(not same)
            continue
        yield float(x @ y) / (lengths[0] * lengths[1]), float(np.linalg.norm(x - y)) / lengths[0]

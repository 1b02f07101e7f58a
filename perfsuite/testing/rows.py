"""The rows and metrics of a task, and its validation samples: what is checked of both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from perfsuite.domain.task import (
    KEPT_FOR_CALIBRATION,
    Inputs,
    Outputs,
    Predict,
    RowsMetric,
    Task,
    TrainingSet,
    members,
)
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.testing.samples import require

ANSWERED = 8  # samples that are asked for
COMPARED, HELD_AGAINST = 100, 500  # validation samples, and others that none of them may be
SAME = 0.05  # the share of validation samples that data sets may hold twice


def check_rows(name: str, task: Task, predict: Predict) -> int:
    """Return how many columns rows have.

    Raises unless they are one for each sample, the same each time, and metrics are fractions.
    """
    rows = _check(f"workload '{name}': task.rows", name, task, task.rows, predict)
    columns: int = rows.shape[1]
    return columns


def check_validation(
    name: str, task: Task, predict: Predict, columns: int, training: TrainingSet | None
) -> None:
    """Raise unless validation samples are others than those of training, calibration and tests.

    Of calibration that is meant of the first `KEPT_FOR_CALIBRATION`, of training of what is left
    without those held out. Samples are compared by content, so that of training samples only those
    count which are not augmented. Rows have so many `columns` as those of test samples. A task
    without validation samples passes.
    """
    who = f"workload '{name}': task.validation"
    try:
        rows = _check(who, name, task, task.validation, predict)
    except Unsupported:
        return
    require(
        rows.shape[1] == columns,
        f"{who}: rows have {rows.shape[1]} columns, those of task.rows {columns}; the same metrics "
        f"reduce both",
    )
    asked, tested = _Asked(predict), _Asked(predict)
    task.validation(asked, COMPARED)
    task.rows(tested, HELD_AGAINST)
    for what, others in (
        ("test samples", tested.samples),
        ("calibration samples, by which it would be chosen", _calibration(task)),
        ("training samples that held_out() does not name", _training(name, task, training)),
    ):
        share = len(asked.samples & others) / max(1, len(asked.samples))
        require(
            share <= SAME,
            f"{who}: {share:.0%} of its samples are {what}; what is chosen by them must be judged "
            f"by samples that nothing else has seen",
        )


def _check(
    who: str,
    name: str,
    task: Task,
    ask: Callable[[Predict, int | None], np.ndarray],
    predict: Predict,
) -> np.ndarray:
    """Return the rows that `ask` gives, checked."""
    who = f"{who}(predict, {ANSWERED})"
    rows, again = ask(predict, ANSWERED), ask(predict, ANSWERED)
    require(
        isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype == np.float64,
        f"{who} must return a float64 array (samples, columns), one row a sample, not "
        f"{getattr(rows, 'dtype', type(rows).__name__)} {getattr(rows, 'shape', '')}",
    )
    require(
        0 < len(rows) <= ANSWERED,
        f"{who} returns {len(rows)} rows; `samples` limits how many are answered, one row a sample",
    )
    require(
        np.array_equal(rows, again, equal_nan=True),
        f"{who} returns other rows the second time; choose the samples by a fixed seed, in a "
        f"fixed order: variants are compared sample by sample",
    )
    for metric_name, metric in task.metrics().items():
        _check_metric(f"workload '{name}': the metric '{metric_name}'", metric, rows)
    return rows


def _check_metric(who: str, metric: RowsMetric, rows: np.ndarray) -> None:
    """Raise unless a metric is a fraction for any choice of its rows."""
    rows = members(metric, rows)
    choices = (rows, rows[::-1], rows[:1].repeat(len(rows), axis=0)) if len(rows) else ()
    for chosen in choices:
        value = metric(chosen)
        require(
            isinstance(value, float) and 0.0 <= value <= 1.0,
            f"{who} is {value!r}; it must be a float from 0 to 1 for any choice of rows (intervals "
            f"resample them)",
        )


class _Asked:
    """A `Predict` that notes the samples that it is asked for.

    It answers calls of the same shapes alike: only the questions are of interest.
    """

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self._answers: dict[tuple[tuple[int, ...], ...], Outputs] = {}
        self.samples: set[str] = set()

    def __call__(self, inputs: Inputs) -> Outputs:
        self.samples.update(_digests(inputs))
        shapes = tuple(array.shape for array in inputs.values())
        if shapes not in self._answers:
            self._answers[shapes] = self._predict(inputs)
        return [output.copy() for output in self._answers[shapes]]


def _calibration(task: Task) -> set[str]:
    try:
        batches = list(task.calibration(KEPT_FOR_CALIBRATION))
    except Unsupported:
        return set()
    return {digest for inputs in batches for digest in _digests(inputs)}


def _training(name: str, task: Task, data: TrainingSet | None) -> set[str]:
    """Return the digests of some of the training samples that validation leaves to training."""
    places, inputs = task.held_out(), task.inputs(1, 0)
    if data is None or len(inputs) > 1:
        require(
            data is not None or places is None,
            f"workload '{name}': task.held_out() names training samples, and task.train() has none",
        )
        return set()
    kept = _kept(name, data, places)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(kept.inputs))[:HELD_AGAINST])
    return set(_digests({next(iter(inputs)): kept.prepare(kept.inputs[chosen], rng)}))


def _kept(name: str, data: TrainingSet, places: np.ndarray | None) -> TrainingSet:
    """Return the training set without what is held out."""
    if places is None:
        return data
    who = f"workload '{name}': task.held_out()"
    require(
        isinstance(places, np.ndarray) and places.ndim == 1 and places.dtype.kind in "iu",
        f"{who} must return None or a NumPy array of places, whole numbers from 0; of a mask take "
        f"numpy.flatnonzero(mask)",
    )
    require(
        len(np.unique(places)) == len(places) > 0,
        f"{who} must name training samples, each once; None says that none are held out",
    )
    try:
        return data.without(places)
    except ConfigError as error:
        raise AssertionError(f"workload '{name}': task.{error}") from error


def _digests(inputs: Inputs) -> Iterator[str]:
    """Yield a digest of each sample of a call, or of the call where inputs differ in length."""
    arrays = [np.ascontiguousarray(inputs[name]) for name in sorted(inputs)]
    alike = len({len(array) if array.ndim else 0 for array in arrays}) == 1
    count = len(arrays[0]) if alike and arrays[0].ndim else 0
    samples = ([array[index] for array in arrays] for index in range(count)) if count else [arrays]
    for sample in samples:
        yield hashlib.sha256(b"".join(part.tobytes() for part in sample)).hexdigest()

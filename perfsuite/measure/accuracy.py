"""Metrics of rows, with the resamplings by which two cells are compared in pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from perfsuite.domain.metrics import METRICS
from perfsuite.domain.record import Accuracy
from perfsuite.domain.suite import Split
from perfsuite.domain.task import RowsMetric, members
from perfsuite.errors import ConfigError, PerfsuiteError

SLACK = 1e-9  # by which rounding may carry a share below 0 or above 1


def accuracies(
    metrics: Mapping[str, RowsMetric], rows: np.ndarray, *, digest: str, split: Split = "test"
) -> tuple[Accuracy, ...]:
    """Return the accuracy of `rows` of a split by each of a task's metrics, in their order.

    Raises `ConfigError` without metrics, and what `accuracy` raises.
    """
    if not isinstance(metrics, Mapping) or not metrics:
        raise ConfigError(
            f"the task's metrics() must give a dict of names and functions of the rows, with at "
            f"least one; it gives {metrics!r}"
        )
    return tuple(
        accuracy(name, metrics[name], rows, digest=digest, split=split) for name in metrics
    )


def accuracy(
    metric_name: str,
    metric: RowsMetric,
    rows: np.ndarray,
    *,
    digest: str,
    split: Split = "test",
    replicates: int = 1000,
) -> Accuracy:
    """Return the metric of `rows` and of `replicates` resamplings of them, to six digits.

    `rows` is (samples, columns), one row for each sample; for a `SubsetMetric` only its members are
    used. Each resampling draws as many rows with replacement (the bootstrap: Efron and Tibshirani,
    *An Introduction to the Bootstrap*, 1993, chapters 6 and 13). Which rows are drawn depends only
    on how many there are, so the replicates of two cells that answered the same samples are paired;
    `digest` identifies those samples. Raises `ConfigError` for fewer than two rows, for a metric
    outside [0, 1] and for the name of a metric of perfsuite's own, `PerfsuiteError` for NaN in the
    rows or the metric.
    """
    if metric_name in METRICS:
        raise ConfigError(
            f"the task's metric '{metric_name}' has the name of what perfsuite measures itself;"
            f" choose another, such as top1"
        )
    _refuse_nan(metric_name, rows)
    rows = members(metric, rows)
    if len(rows) < 2:
        raise ConfigError(
            f"{metric_name}: {len(rows)} {split} sample(s) give no interval; evaluate at least 2 "
            f"that it is about"
        )
    return Accuracy(
        metric=metric_name,
        value=_share(metric_name, metric(rows)),
        samples=len(rows),
        digest=digest,
        replicates=tuple(
            float(f"{_share(metric_name, metric(rows[chosen])):.6g}")
            for chosen in resamplings(len(rows), replicates)
        ),
        split=split,
    )


def resamplings(rows: int, count: int) -> Iterator[np.ndarray]:
    """Yield `count` arrays of `rows` row numbers each, the same on every machine and version.

    They come from a bit generator's raw stream, which NumPy promises never to change (NEP 19),
    unlike `Generator.integers`. The upper 32 bits are scaled to a row number (Lemire, "Fast random
    integer generation in an interval", TOMACS 29(1), 2019), without the rejection step: the bias is
    below rows / 2**32.
    """
    stream = np.random.PCG64(rows)
    for _ in range(count):
        upper = stream.random_raw(rows) >> np.uint64(32)
        yield (upper * np.uint64(rows) >> np.uint64(32)).astype(np.int64)


def _refuse_nan(metric_name: str, rows: np.ndarray) -> None:
    bad = np.isnan(rows).any(axis=tuple(range(1, rows.ndim)))
    if bad.any():
        raise PerfsuiteError(
            f"{metric_name}: {int(bad.sum())} of {len(rows)} rows contain NaN, the first is row "
            f"{int(bad.argmax())}; look for NaN in the model's outputs or in the task's rows()"
        )


def _share(metric_name: str, value: float) -> float:
    if not math.isfinite(value):
        raise PerfsuiteError(
            f"{metric_name}: the metric of the rows is {value}; it must be a finite number for any "
            f"choice of rows (one that is about some of the samples alone is a SubsetMetric)"
        )
    if not -SLACK <= value <= 1 + SLACK:
        raise ConfigError(
            f"{metric_name}: the metric of the rows is {value:g}, and an accuracy lies between 0 "
            f"and 1; the task must give a fraction (0.93, not 93 percent)"
        )
    return float(value)

"""What a phase has found of a candidate: its speed and its loss, each with a standard error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.record import OUT_OF_TIME, Record, Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge import metrics
from perfsuite.search.ways import Way


class Estimate(NamedTuple):
    """A value with its 95 % interval, and the values that are one standard error away."""

    interval: Interval
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.interval.value


class Score(NamedTuple):
    """What is known of one candidate; `error` says why nothing is.

    `row` names its line of the table of recipes, '' for the net as it is. The loss is in points, on
    the validation samples; None where these did not tell. `late` is one that the time was up for.
    """

    cell: Cell
    recipe: ResolvedRecipe
    row: str
    way: Way
    speedup: Estimate | None = None
    loss: Estimate | None = None
    latency_s: float | None = None
    size_bytes: float | None = None
    error: str = ""
    late: bool = False

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Return what is the same before and after a training: the row and the way."""
        return self.row, self.way.runtime, self.way.precision, self.way.suffix


def score(run: Run, reference: Cell, cell: Cell, row: str, way: Way, *, evaluated: bool) -> Score:
    """Return what a phase's run tells of a cell, beside the reference of the same run.

    Where nothing was `evaluated`, a net in fp32 without passes loses nothing: that it answers as
    the model does was checked when it was built.
    """
    recipe = next(one for one in run.header.suite.recipes if one.name == cell.recipe)
    found = Score(cell, recipe, row, way)
    record, other = run.records[cell.id], run.records[reference.id]
    if record.status not in ("ok", "incomplete") or not record.latencies_s:
        late = record.error is not None and record.error.kind == OUT_OF_TIME
        return found._replace(error=_error(record), late=late)
    speedup = _speedup(other, record)
    if speedup is None:
        return found._replace(error="its times, or those of the reference, are not all positive")
    exact = not evaluated and not recipe.passes and cell.precision == "fp32"
    loss = Estimate(Interval(0.0, 0.0, 0.0), 0.0, 0.0) if exact else _loss(other, record)
    if evaluated and loss is None:
        return found._replace(error="its accuracy cannot be compared with that of the reference")
    return found._replace(
        speedup=speedup,
        loss=loss,
        latency_s=metrics.typical_latency(record),
        size_bytes=_size_bytes(record.values),
    )


def _error(record: Record) -> str:
    if record.error is None:
        return "it was not measured"
    lines = record.error.message.strip().splitlines()
    return lines[0] if lines else record.error.kind


def _speedup(reference: Record, record: Record) -> Estimate | None:
    interval = metrics.ratio(reference, record, LATENCY, "median")
    logs = metrics.log_ratios(reference, record)
    if interval is None or len(logs) < 2:
        return None
    error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
    value = interval.value
    return Estimate(interval, value * math.exp(-error), value * math.exp(error))


def _loss(reference: Record, record: Record) -> Estimate | None:
    interval = metrics.known_loss(reference, record)
    one, other = reference.accuracy, record.accuracy
    if interval is None or one is None or other is None:
        return None
    error = 100.0 * float(np.std(np.subtract(one.replicates, other.replicates)))
    return Estimate(interval, interval.value - error, interval.value + error)


def _size_bytes(values: Mapping[str, tuple[float, ...]]) -> float | None:
    sizes = values.get("artifact_bytes", ())
    return sizes[0] if sizes else None

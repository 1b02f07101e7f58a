"""CSV: one line a cell, SI units, the unit in the column's name."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge import Gain
from perfsuite.judge.sensitivity import Part, sensitivities
from perfsuite.report.tables.cell_rows import CellRow, plain, rows
from perfsuite.report.tables.inputs import inputs_text
from perfsuite.report.tables.texts import measured_text
from perfsuite.report.tables.uncounted import operators_text

_Value = str | int | float | None


class Csv:
    """One line a cell, in SI units, for spreadsheets and programs."""

    suffix = ".csv"

    def render(self, run: Run, judgement: Judgement) -> str:
        """Return the table; unknown values are empty fields.

        Further metrics of a task are in columns numbered from 2, such as `accuracy_2`; other
        metrics are in columns of their names. Of a sensitivity there is a line for each part of the
        net in place of one for each cell, the worst first.
        """
        if run.header.suite.sensitivity is not None:
            return _write(map(_part, sensitivities(run)))
        found = rows(run, judgement)
        most = max((len(row.other_accuracies) for row in found), default=0)
        names = dict.fromkeys(one.metric.name for row in found for one in row.other_metrics)
        return _write(
            [_row(row) | _other_accuracies(row, most) | _other_metrics(row, names) for row in found]
        )


def _part(part: Part) -> dict[str, _Value]:
    return {
        "name": part.name,
        "pass": part.use,
        "key": part.cell,
        "layers": " ".join(part.layers),
        "status": part.status,
        "reason": part.reason,
        "metric": part.metric,
        **_interval("points_lost", part.points_lost),
        "error_percent": part.error_percent,
        **_interval("saved_s", part.saved_s),
        **_interval("lost_per_ms", part.lost_per_ms),
    }


def _row(row: CellRow) -> dict[str, _Value]:
    around = row.latency_interval_s
    return {
        "key": row.key,
        "workload": row.cell.workload,
        "recipe": row.cell.recipe,
        "runtime": row.cell.runtime,
        "device": row.cell.device,
        "device_name": row.device_name,
        "device_instruction_sets": ", ".join(row.device_instruction_sets),
        "precision": row.cell.precision,
        "batch": row.cell.batch,
        "threads": row.cell.threads,
        "inputs": inputs_text(row),
        "status": row.status,
        "verdict": row.verdict,
        "processes": row.processes,
        "latency_s": row.latency_s,
        "latency_low_s": around.low if around else None,
        "latency_high_s": around.high if around else None,
        "reference": row.reference,
        **_interval("speedup", row.speedup),
        "accuracy_metric": row.accuracy_metric,
        "accuracy": row.accuracy,
        "accuracy_split": row.accuracy_split,
        **_interval("loss_points", row.loss_points),
        "run_peak_bytes": row.run_peak_bytes,
        "artifact_bytes": row.artifact_bytes,
        "macs": row.macs,
        "macs_uncounted": operators_text(row.uncounted),
        "int8_share": row.int8_share,
        "cosine": row.least_like.cosine if row.least_like else None,
        "relative_error": row.least_like.relative_error if row.least_like else None,
        "instruction_sets": ", ".join(row.instruction_sets),
        "instruction_sets_reported_by": row.instruction_sets_reported_by,
        "labels": " ".join(row.labels),
        "expected": row.expected,
        "error": row.error,
        **_gain(row.gain),
        "cause": row.cause,
        **_interval("change", row.change.estimate if row.change else None),
        "change_measured": measured_text(row.change) if row.change else "",
    }


def _other_accuracies(row: CellRow, most: int) -> dict[str, _Value]:
    fields: dict[str, _Value] = {}
    for place in range(most):
        one = row.other_accuracies[place] if place < len(row.other_accuracies) else None
        number = place + 2  # the main metric is the first
        fields |= {
            f"accuracy_{number}_metric": one.metric if one else "",
            f"accuracy_{number}": one.value if one else None,
            **_interval(f"loss_{number}_points", one.loss_points if one else None),
        }
    return fields


def _other_metrics(row: CellRow, names: Iterable[str]) -> dict[str, _Value]:
    values = {one.metric.name: one.value for one in row.other_metrics}
    return {name: values.get(name) for name in names}


def _gain(gain: Gain | None) -> dict[str, _Value]:
    """Return the cell's gain over its parent; ratios are the parent's value / its own."""
    return {
        "parent": gain.parent if gain else None,
        "macs_ratio": gain.macs_ratio if gain else None,
        "parameters_ratio": gain.parameters_ratio if gain else None,
        **_interval("parent_speedup", gain.speedup if gain else None),
        **_interval("realised", gain.realised if gain else None),
        **_interval("parent_loss_points", gain.loss_points if gain else None),
        "pace": gain.pace if gain else None,
    }


def _interval(name: str, interval: Interval | None) -> dict[str, _Value]:
    return {
        name: interval.value if interval else None,
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
    }


def _write(lines: Iterable[Mapping[str, _Value]]) -> str:
    lines = list(lines)
    if not lines:
        return ""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in line.items()} for line in lines)
    return file.getvalue()


def _safe(value: _Value) -> _Value:
    """Return text that no spreadsheet interprets as a formula (OWASP, CSV injection)."""
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text

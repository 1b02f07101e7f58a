"""One row for each cell, in SI units, for all formats of reports."""

from __future__ import annotations

import re

import msgspec
import numpy as np

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import PROCESSOR, DeviceIdentity
from perfsuite.domain.finding import Finding
from perfsuite.domain.judgement import Judgement, NotInBaseline
from perfsuite.domain.metrics import LATENCY, MACS, Metric, known_metrics
from perfsuite.domain.record import LayerWidth, Likeness, Record, Replacement, Run
from perfsuite.domain.shapes import InputShapes
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.domain.verdict import Interval, Verdict, VerdictStatus
from perfsuite.errors import SilentFallback
from perfsuite.judge import Gain, expectation, gain, metrics, ok_cells, reference_cell, trouble
from perfsuite.processor import best_instruction_sets
from perfsuite.report.sentences import cause_text, reason_text
from perfsuite.report.tables.instruction_sets import instruction_sets

# The worst first; a row shows the worst of its verdicts.
SEVERITY: tuple[VerdictStatus, ...] = (
    "failed",
    "regressed",
    "over_budget",
    "missing",
    "incomparable",
    "inconclusive",
    "pass",
)

# Of these it is not known whether the limit holds.
UNDECIDED: frozenset[VerdictStatus] = frozenset(("missing", "incomparable", "inconclusive"))

_LAST_LINES = 3
_FIELDS = frozenset({LATENCY, MACS, "artifact_bytes", "run_peak_bytes"})  # of a row
_FRAME = re.compile(r'File "(?P<path>.+)", line \d+')  # of a traceback


class OtherAccuracy(msgspec.Struct, frozen=True):
    """The accuracy by another than the main metric; `loss_points` is against the reference."""

    metric: str
    value: float
    loss_points: Interval | None = None


class OtherMetric(msgspec.Struct, frozen=True):
    """The value of a metric without a field of its own, with its interval if there is one."""

    metric: Metric
    value: float
    interval: Interval | None = None


class CellRow(msgspec.Struct, frozen=True):
    """One cell; unknown values are None, `speedup` and `loss_points` are against `reference`.

    `gain` is that of a compressed cell over its parent. `latency_s` is the geometric mean of the
    processes' medians. `expected` is the reason that the suite gives for a status other than ok.
    """

    cell: Cell
    key: str
    status: str
    expected: str = ""
    error: str = ""
    # The line of the user's code that failed, then the last lines of the worker's output.
    output: tuple[str, ...] = ()
    verdict: VerdictStatus | None = None
    processes: int = 0
    latency_s: float | None = None
    latency_interval_s: Interval | None = None
    reference: str = ""  # the key; empty for the reference itself
    speedup: Interval | None = None
    accuracy_metric: str = ""
    accuracy: float | None = None
    accuracy_split: str = ""  # which samples were answered: test or validation
    loss_points: Interval | None = None
    run_peak_bytes: float | None = None
    artifact_bytes: float | None = None
    macs: float | None = None
    uncounted: dict[str, int] = {}  # operators that are not in `macs`, to their number
    labels: tuple[str, ...] = ()
    gain: Gain | None = None
    cause: str = ""  # why that is not proven, where the run shows it
    widths: tuple[LayerWidth, ...] = ()  # of the layers, where passes changed any
    replaced: Replacement | None = None  # the model, by a pass
    # By the task's further metrics; `accuracy` is by its main one.
    other_accuracies: tuple[OtherAccuracy, ...] = ()
    other_metrics: tuple[OtherMetric, ...] = ()
    # Of a run that is held against a baseline: the verdict on the change of the latency.
    change: Verdict | None = None
    device_name: str = ""  # of the processor or card; empty where the run does not tell
    device_instruction_sets: tuple[str, ...] = ()  # the best that the processor has
    instruction_sets: tuple[str, ...] = ()  # that the cell's kernels use; empty where not known
    input_shapes: InputShapes = {}  # of the timed calls; empty where the run does not tell
    likeness: tuple[Likeness, ...] = ()  # to the answers of fp32, where passes changed any
    least_like: Likeness | None = None  # of these, the one with the lowest cosine
    int8_share: float | None = None  # of the MACs, that ran in 8 bits
    float_shares: dict[str, float] = {}  # of the MACs, that did not, by operator
    made_up: bool = False  # those inputs are made up, as nobody gave samples
    instruction_sets_reported_by: str = ""  # the library that says so; empty where it was observed
    left: dict[str, str] = {}  # layers that a pass on the graph left in float, and why
    findings: tuple[Finding, ...] = ()  # what is wrong with the libraries underneath


def rows(run: Run, judgement: Judgement) -> list[CellRow]:
    """Return one row for each cell of the run, in the suite's order."""
    worst: dict[str, VerdictStatus] = {}
    for verdict in judgement.verdicts:
        known = worst.get(verdict.cell, "pass")
        worst[verdict.cell] = min(known, verdict.status, key=SEVERITY.index)
    changes = {
        verdict.cell: verdict
        for verdict in judgement.verdicts
        if (verdict.check, verdict.metric) == ("regression", LATENCY)
    }
    return [
        msgspec.structs.replace(_row(cell, run, worst.get(cell.key)), change=changes.get(cell.key))
        for cell in run.header.cells
    ]


def groups(found: list[CellRow]) -> dict[str, list[CellRow]]:
    """Return the rows by workload, in the order in which these first appear."""
    grouped: dict[str, list[CellRow]] = {}
    for row in found:
        grouped.setdefault(row.cell.workload, []).append(row)
    return grouped


def short_key(row: CellRow) -> str:
    """Return the key without the workload, which heads the group."""
    return row.key.removeprefix(f"{row.cell.workload}/")


def plain(text: str) -> str:
    """Return the text, which may come from anywhere, as one line of printable characters."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def title(run: Run) -> str:
    """Return the suite, the date and the machine of a run in one line.

    Of a processor it has the best instruction sets.
    """
    header = run.header
    where = ", ".join(_devices(run))
    count = len(header.cells)
    return plain(
        f"{header.suite.name}: {count} cell{'s' * (count != 1)}, "
        f"{_processes(run)}, {header.created_at}, {where}"
    )


def _processes(run: Run) -> str:
    """Return in how many processes each cell is measured: a number, or from least to most."""
    suite = run.header.suite
    least = most = suite.processes
    if suite.looks is not None:
        counts = [len(one.latencies_s) for one in run.records.values() if one.latencies_s]
        least, most = min(counts, default=0), max(counts, default=0)
    if not most:
        return "not measured"
    numbers = f"{least} to {most}" if least != most else f"{most}"
    return f"{numbers} process{'es' * (most != 1)} each"


def _devices(run: Run) -> list[str]:
    """Return the names of the devices of cells, or of the processor if there are none."""
    machine = run.header.environment.must_match
    known = [record.device for record in run.records.values() if record.device is not None]
    if not known and machine.card:
        return [machine.card]
    known = known or [DeviceIdentity(PROCESSOR, machine.processor, machine.flags)]
    return list(dict.fromkeys(map(_with_instruction_sets, known)))


def _with_instruction_sets(device: DeviceIdentity) -> str:
    names = _best(device)
    return f"{device} ({', '.join(names)})" if names else str(device)


def _best(device: DeviceIdentity | None) -> tuple[str, ...]:
    """Return the best instruction sets of a processor, of other devices none."""
    if device is None or not device.is_processor:
        return ()
    return best_instruction_sets(device.features)


def summary(judgement: Judgement) -> str:
    """Return the outcome in one line, with the exit code."""
    verdicts = judgement.verdicts
    code = f"exit code {judgement.exit_code}"
    if not verdicts:
        held = any(isinstance(one, NotInBaseline) for one in judgement.warnings)
        baseline = "nothing of these cells in the baseline" if held else "no baseline"
        return f"nothing to judge: no budgets, {baseline}; {code}"
    parts = [
        f"{count} {status.replace('_', ' ')}"
        for status in SEVERITY
        if (count := sum(verdict.status == status for verdict in verdicts))
    ]
    return f"{', '.join(parts)}; {code}"


def _row(cell: Cell, run: Run, verdict: VerdictStatus | None) -> CellRow:
    record = run.records.get(cell.id)
    expect = expectation(run, cell)
    if record is None:
        return CellRow(cell, cell.key, "missing", error=_error(None), verdict=verdict)
    reference = reference_cell(cell, ok_cells(run))
    other = run.records[reference.id] if reference is not None and reference != cell else None
    gained = gain(run, cell)
    usable = record.status == "ok" and other is not None
    sets = instruction_sets(record.evidence)
    return CellRow(
        cell,
        cell.key,
        record.status,
        expected=expect.reason if expect else "",
        error=_error(record),
        output=_last_lines(record, _folders(run.header.suite)),
        verdict=verdict,
        processes=len(record.latencies_s),
        latency_s=metrics.typical_latency(record),
        latency_interval_s=metrics.level(record, "latency_s"),
        reference=reference.key if usable and reference is not None else "",
        speedup=_speedup(other, record) if usable and other is not None else None,
        accuracy_metric=record.accuracy.metric if record.accuracy else "",
        accuracy=record.accuracy.value if record.accuracy else None,
        accuracy_split=record.accuracy.split if record.accuracy else "",
        loss_points=metrics.known_loss(other, record) if usable and other is not None else None,
        run_peak_bytes=_middle(record, "run_peak_bytes"),
        artifact_bytes=_middle(record, "artifact_bytes"),
        macs=_middle(record, MACS),
        uncounted=record.uncounted,
        input_shapes=record.input_shapes,
        made_up=record.made_up,
        likeness=record.likeness,
        least_like=record.least_like,
        int8_share=record.int8_share,
        float_shares=record.float_shares,
        left=record.left,
        findings=record.evidence.findings if record.evidence else (),
        labels=record.labels,
        gain=gained,
        cause=cause_text(gained.cause) if gained and gained.cause else "",
        widths=record.widths,
        replaced=record.replaced,
        device_name=str(record.device) if record.device else "",
        device_instruction_sets=_best(record.device),
        instruction_sets=sets.names,
        instruction_sets_reported_by=sets.reported_by,
        other_accuracies=tuple(
            OtherAccuracy(
                one.metric,
                one.value,
                metrics.known_loss(other, record, one.metric) if usable and other else None,
            )
            for one in record.accuracies[1:]
        ),
        other_metrics=_other_metrics(record),
    )


def _other_metrics(record: Record) -> tuple[OtherMetric, ...]:
    known = known_metrics(record.metrics)
    found = ((known[name], _middle(record, name)) for name in known if name not in _FIELDS)
    return tuple(
        OtherMetric(metric, around.value if around else value, around)
        for metric, value in found
        if value is not None
        for around in [metrics.level(record, metric.name)]
    )


def _error(record: Record | None) -> str:
    reason = trouble(record)
    return "" if reason is None else plain(reason_text(reason))


def _speedup(reference: Record, record: Record) -> Interval | None:
    return metrics.ratio(reference, record, "latency_s", "median")


def _last_lines(record: Record, folders: set[str]) -> tuple[str, ...]:
    failure = record.error if record.status == "failed" else None
    if failure is None or failure.kind == SilentFallback.__name__:
        return ()  # which says all itself: nothing was raised
    output = failure.output
    lines = [line for one in output.splitlines() if (line := plain(one))]
    last = lines[-_LAST_LINES:]
    own = [
        line
        for line in lines
        if (frame := _FRAME.match(line)) and frame["path"].rpartition("/")[0] in folders
    ]
    return (*(one for one in own[-1:] if one not in last), *last)


def _folders(suite: ResolvedSuite) -> set[str]:
    """Return the folders of the user's files that the suite names."""
    uses = [use for recipe in suite.recipes for use in recipe.passes]
    passes = [reference for use in uses for _, reference in use.plug_ins]
    references = [*suite.workloads.values(), *suite.runtime_files.values(), *suite.meters, *passes]
    return {one.rpartition("/")[0] for one in references if ".py:" in one}


def _middle(record: Record, metric: str) -> float | None:
    samples = record.values.get(metric)
    return float(np.median(samples)) if samples else None

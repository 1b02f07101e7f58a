"""The texts in tables, for the terminal and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.domain.profile import Breakdown
from perfsuite.domain.verdict import Interval, Verdict, VerdictStatus
from perfsuite.judge import CellChange
from perfsuite.report import words
from perfsuite.report.sentences import verdict_sentence
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key

_STAGES = 4  # of a breakdown, to name in a line


def symbol_of(status: VerdictStatus) -> str:
    """Return a tick, a cross or a question mark."""
    if status == "pass":
        return "✓"
    return "✗" if status in ("failed", "regressed", "over_budget") else "?"


def speedup_text(row: CellRow) -> str:
    """Return `11.3x (10.9-11.8)`, or that the row is the reference."""
    if row.speedup is None:
        return "reference" if row.status == "ok" and not row.reference else ""
    return faster_text(row.speedup)


def faster_text(found: Interval) -> str:
    """Return a measured speed-up: `11.3x (10.9-11.8)`, or that it is noise."""
    if words.is_noise(found):
        return words.NOISE
    return f"{words.times(found.value)} ({words.number(found.low)}-{words.number(found.high)})"


def bar_texts(group: Sequence[CellRow], longest: int) -> dict[str, str]:
    """Return a bar for each speed-up by its row's key, the largest `longest` characters long.

    What is noise has none.
    """
    known = {
        row.key: row.speedup.value
        for row in group
        if row.speedup is not None and not words.is_noise(row.speedup)
    }
    most = max(known.values(), default=0.0)
    return {key: "█" * round(longest * one / most) for key, one in known.items() if most > 0.0}


def realised_text(found: Interval | None) -> str:
    """Return the measured / theoretical speed-up: `0.84 (0.81-0.87)`."""
    if found is None or words.is_noise(found):
        return "" if found is None else words.NOISE
    return f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f})"


def pace_text(row: CellRow) -> str:
    """Return `not proven faster than RECIPE: 1.02x (0.97-1.08)`; '' if it is proven."""
    one = row.gain
    if one is None or one.speedup is None or one.pace == "faster":
        return ""
    return f"{one.pace} than {plain(one.recipe)}: {faster_text(one.speedup)}"


def latency_text(row: CellRow) -> str:
    """Return `2.31 ms ±3 %`: the half-width of the interval, where there is one."""
    if row.status != "ok":
        return row.status
    if row.latency_s is None:
        return ""
    around = row.latency_interval_s
    if around is not None and words.is_noise(around):
        return f"{words.seconds(row.latency_s)} ({words.NOISE})"
    half = "" if around is None else f" ±{_half_percent(around)} %"
    return words.seconds(row.latency_s) + half


def loss_text(loss: Interval | None) -> str:
    """Return `0.25 (-0.1 to 0.6)` in percentage points."""
    return "" if loss is None else words.points(loss.value) + words.spread(loss, words.points)


def metric_text(metric: str, row: CellRow) -> str:
    """Return the name of an accuracy; it says so if that is not of the test samples."""
    return f"validation {metric}" if row.accuracy_split == "validation" else metric


def accuracy_text(row: CellRow) -> str:
    """Return the accuracy by the main metric: `92.61 %`."""
    return "" if row.accuracy is None else share_text(row.accuracy)


def share_text(value: float) -> str:
    """Return a fraction in percent with two decimals."""
    return f"{value * 100:.2f} %"


def size_text(value: float | None) -> str:
    """Return `58.9 MB`."""
    return "" if value is None else words.size(value)


def instruction_sets_text(row: CellRow) -> str:
    """Return `AVX-512`, or `AVX-512 (PyTorch says)` where that was only reported; '' if unknown."""
    names, whose = ", ".join(row.instruction_sets), plain(row.instruction_sets_reported_by)
    return f"{names} ({whose} says)" if whose else names


def instruction_sets_sentence(group: Sequence[CellRow]) -> str:
    """Return which instruction sets kernels use in which cells; '' if nothing is known of any.

    Where all cells of a runtime use the same, it is named in their place.
    """
    ran = [row for row in group if row.status == "ok"]
    by_runtime: dict[str, set[str]] = {}
    for row in ran:
        by_runtime.setdefault(row.cell.runtime, set()).add(instruction_sets_text(row))
    users: dict[str, dict[str, None]] = {}
    for row in ran:
        if text := instruction_sets_text(row):
            alike = len(by_runtime[row.cell.runtime]) == 1
            users.setdefault(text, {})[row.cell.runtime if alike else short_key(row)] = None
    parts = [f"{text} in {', '.join(names)}" for text, names in users.items()]
    return f"instruction sets: {'; '.join(parts)}" if parts else ""


def row_symbol(row: CellRow) -> str:
    """Return the symbol of a row: `-` for an expected status, a space if nothing is judged."""
    if row.expected:
        return "-"
    if row.status == "failed":
        return "✗"
    if row.status != "ok":
        return "?"
    return symbol_of(row.verdict) if row.verdict else " "


def verdict_line(verdict: Verdict) -> str:
    """Return `CELL: SENTENCE`, and the status if the sentence does not imply it."""
    told = verdict.status in ("pass", "inconclusive", "missing", "failed")
    status = "" if told else f" [{verdict.status.replace('_', ' ')}]"
    return f"{plain(verdict.cell)}: {plain(verdict_sentence(verdict))}{status}"


def change_text(ratio: Interval | None) -> str:
    """Return `+20 % (+18 % to +22 %)`."""
    if ratio is None:
        return ""
    if words.is_noise(ratio):
        return words.NOISE
    change = Interval(ratio.value - 1.0, ratio.low - 1.0, ratio.high - 1.0)
    return words.signed_percent(change.value) + words.spread(change, words.signed_percent)


def passed_text(passed: Sequence[Verdict], of: int) -> str:
    """Return `5 of 6 not worse than in the baseline`, and how many were measured beside it."""
    text = f"{len(passed)} of {of} not worse than in the baseline"
    beside = sum(one.beside for one in passed)
    return f"{text} ({beside} measured beside it)" if beside else text


def measured_text(found: Verdict | CellChange) -> str:
    """Return how a change was measured: `beside`, `beside, twice`, `stored, ±2.1 %`.

    After ± is the noise between runs, or ? where it is not known.
    """
    if not found.beside and not found.noise:
        return ""
    unknown = found.noise == "unknown" or found.between is None
    noise = "?" if unknown else words.percent(found.between or 0.0)
    twice = ", twice" if found.again else ""
    return f"beside{twice}" if found.beside else f"stored, ±{noise}{twice}"


def _half_percent(interval: Interval) -> str:
    half = max(interval.high / interval.value - 1.0, 1.0 - interval.low / interval.value)
    return words.number(float(f"{half * 100:.2g}"))


def stages_text(breakdown: Breakdown) -> str:
    """Return the stages with the largest shares of a profiled call, the longest first."""
    stages = sorted(
        (row for row in breakdown.rows if row.level != "rest" and row.time_s > 0),
        key=lambda row: -row.time_s,
    )
    return ", ".join(
        f"{row.name} {words.percent(row.time_s / breakdown.total_s)}" for row in stages[:_STAGES]
    )


def rest_text(breakdown: Breakdown, name: str) -> str:
    """Return the share of a row that is no stage, such as `engine overhead`."""
    time_s = sum(row.time_s for row in breakdown.rows if row.name == name)
    return words.percent(time_s / breakdown.total_s) if breakdown.total_s > 0 else ""

"""The terminal's output of a run: tables, verdicts in words, warnings.

Colours add nothing to symbols and words. All text is printed as `Text`, never as markup, so that
nothing in a name or a message is interpreted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from perfsuite.domain.certificate import Certificate
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run
from perfsuite.domain.verdict import Verdict
from perfsuite.judge import CellChange, Comparison
from perfsuite.judge.findings import Found, found_in
from perfsuite.report import words
from perfsuite.report.fitting import print_table
from perfsuite.report.sentences import caution_sentence, change_notes, comparison_warnings
from perfsuite.report.sentences.certificate import certificate_sentence
from perfsuite.report.tables import (
    ablation,
    accuracies,
    across,
    findings,
    inputs,
    layers,
    other_metrics,
    sensitivity,
    theory,
    uncounted,
)
from perfsuite.report.tables.cell_rows import (
    CellRow,
    groups,
    plain,
    rows,
    short_key,
    summary,
    title,
)
from perfsuite.report.tables.rounding import rounding_text
from perfsuite.report.tables.sketch import sketch_of
from perfsuite.report.tables.texts import (
    accuracy_text,
    bar_texts,
    change_text,
    instruction_sets_sentence,
    latency_text,
    loss_text,
    measured_text,
    metric_text,
    pace_text,
    passed_text,
    row_symbol,
    size_text,
    speedup_text,
    symbol_of,
    verdict_line,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_WIDTH = 120  # of logs and pipes
_WITH_BARS = 112
_WITH_MEMORY = 104
_WITH_SIZE = 94
_BAR = 8  # characters
_ASCII = str.maketrans({"✓": "+", "✗": "x", "█": "#", "±": "+-", "µ": "u"})
_STYLES: dict[str, str] = {"✓": "green", "✗": "red", "?": "yellow", "-": "dim", " ": ""}


def print_run(console: Console, run: Run, judgement: Judgement) -> None:
    """Print the run's tables, its verdicts and its warnings."""
    widen(console)
    found = rows(run, judgement)
    console.print(as_text(console, title(run), "bold"))
    if run.header.suite.ablation or run.header.suite.sensitivity is not None:
        own = print_ablation if run.header.suite.ablation else _print_sensitivity
        own(console, run)
        print_findings(console, found_in(run))
        _print_judgement(console, judgement, None)
        return
    for workload, group in groups(found).items():
        console.print()
        console.print(as_text(console, plain(workload), "bold"))
        _print_cells(console, group)
        _print_notes(console, group)
        _print_other_accuracies(console, group)
        _print_other_metrics(console, group)
        _print_sketch(console, sketch_of(group, judgement.verdicts))
        _print_theory(console, theory.compressed(group))
        _print_widths(console, group)
    print_across(console, run)
    print_findings(console, found_in(run))
    _print_judgement(console, judgement, run.header.certificate)


def print_verdicts(
    console: Console, judgement: Judgement, certificate: Certificate | None = None
) -> None:
    """Print the verdicts, what the machine can see by its certificate, and the warnings."""
    widen(console)
    _print_judgement(console, judgement, certificate)


def _print_judgement(
    console: Console, judgement: Judgement, certificate: Certificate | None
) -> None:
    _print_budgets(console, judgement.verdicts)
    if certificate is not None and judgement.verdicts:
        console.print()
        console.print(as_text(console, certificate_sentence(certificate), "dim"))
    print_warnings(console, [caution_sentence(one) for one in judgement.warnings])
    symbol = {0: "✓", 3: "?"}.get(judgement.exit_code, "✗") if judgement.verdicts else " "
    console.print()
    console.print(as_text(console, f"{symbol} {summary(judgement)}".strip(), _STYLES[symbol]))


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print how each cell of two runs changed."""
    widen(console)
    console.print(as_text(console, f"before: {plain(comparison.before)}", "bold"))
    console.print(as_text(console, f"after:  {plain(comparison.after)}", "bold"))
    console.print()
    columns = ("cell", "before", "after", "change of latency", "measured", "points lost")
    changed = [
        [as_text(console, plain(text), style) for text, style in _change_row(change)]
        for change in comparison.changes
    ]
    print_table(console, columns, changed)
    for change in comparison.changes:
        for note in _notes(change):
            console.print(as_text(console, f"  {change.key}: {plain(note)}", "dim"))
    for keys, where in ((comparison.only_before, "before"), (comparison.only_after, "after")):
        if keys:
            console.print(as_text(console, f"only {where}: {', '.join(keys)}", "yellow"))
    print_warnings(console, comparison_warnings(comparison))


def _notes(change: CellChange) -> tuple[str, ...]:
    others = (*accuracies.loss_notes(change), *other_metrics.change_notes(change))
    return (*others, *change_notes(change))


def widen(console: Console) -> None:
    """Set the width of logs and pipes, which have none."""
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)


def as_text(console: Console, text: str, style: str = "") -> Text:
    """Return `text` without markup, in ASCII if the console cannot encode more."""
    from rich.text import Text

    return Text(text.translate(_ASCII) if console.options.ascii_only else text, style)


def print_texts(console: Console, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a table of plain texts."""
    told = [[as_text(console, plain(text)) for text in line] for line in lines]
    print_table(console, [plain(name) for name in columns], told)


def _print_cells(console: Console, group: list[CellRow]) -> None:
    """Print one workload's table; on a narrow terminal without bars, memory, size."""
    judged = next((row for row in group if row.accuracy_metric), None)
    metric = metric_text(judged.accuracy_metric, judged) if judged else ""
    bars_of = bar_texts(group, _BAR)
    bars = bool(bars_of) and console.width >= _WITH_BARS
    memory, size = console.width >= _WITH_MEMORY, console.width >= _WITH_SIZE
    columns = ["", "cell", "latency", "speed-up", *[""] * bars]
    columns += [plain(metric), "points lost"] * bool(metric)
    columns += ["memory"] * memory + ["size"] * size
    lines = []
    for row in group:
        symbol = row_symbol(row)
        style = _STYLES[symbol] if row.status != "ok" else ""
        entries = [
            (symbol, _STYLES[symbol]),
            (short_key(row), style),
            (latency_text(row), style),
            (speedup_text(row), "bold" if row.speedup else "dim"),
        ]
        if bars:
            entries.append((bars_of.get(row.key, ""), "cyan"))
        if metric:
            entries += [(accuracy_text(row), ""), (loss_text(row.loss_points), "")]
        if memory:
            entries.append((size_text(row.run_peak_bytes), ""))
        if size:
            entries.append((size_text(row.artifact_bytes), ""))
        lines.append([as_text(console, text, style) for text, style in entries])
    print_table(console, columns, lines)


def _print_sketch(console: Console, drawn: Sequence[str]) -> None:
    """Print the sketch of speed-ups and points lost, if there are enough cells to see something.

    A terminal that is narrower than the sketch gets none.
    """
    if not drawn or console.width < max(map(len, drawn[:-1])):
        return
    console.print()
    console.print(as_text(console, "points lost against speed-up", "bold"))
    for line in drawn:
        console.print(as_text(console, line))


def _print_sensitivity(console: Console, run: Run) -> None:
    """Print what each part of the net costs and gains alone, in place of the table of cells."""
    columns, lines = sensitivity.columns(run), list(sensitivity.lines(run))
    _print_small_table(console, sensitivity.TITLE, columns, lines)
    console.print()
    for sentence in sensitivity.sentences(run):
        console.print(as_text(console, sentence, "dim"))


def print_across(console: Console, run: Run) -> None:
    """Print what becomes of INT8 on other processors, if the run asks for that."""
    if run.header.suite.across is None:
        return
    console.print()
    if lines := across.lines(run):
        _print_small_table(console, across.TITLE, across.COLUMNS, lines)
    for sentence in across.sentences(run):
        console.print(as_text(console, sentence))


def print_ablation(console: Console, run: Run) -> None:
    """Print what each library is worth, in place of the table of cells."""
    lines = [
        [as_text(console, text, "bold" if line[0] else "") for text in line]
        for line in ablation.lines(run)
    ]
    console.print()
    console.print(as_text(console, ablation.TITLE, "bold"))
    print_table(console, ablation.COLUMNS, lines)
    console.print()
    for sentence in ablation.sentences(run):
        console.print(as_text(console, sentence))


def _print_notes(console: Console, group: list[CellRow]) -> None:
    """Print the notes on cells below their table."""
    for sentence in inputs.sentences(group):
        console.print(as_text(console, f"  {sentence}", "dim"))
    if used := instruction_sets_sentence(group):
        console.print(as_text(console, f"  {used}", "dim"))
    for sentence in uncounted.sentences(group):
        console.print(as_text(console, f"  {sentence}", "yellow"))
    for row in group:
        name = f"  {short_key(row)}: "
        if row.labels:
            console.print(as_text(console, name + ", ".join(map(plain, row.labels)), "yellow"))
        if rounded := rounding_text(row):
            console.print(as_text(console, name + rounded, "dim"))
        for text in layers.kept(row):
            console.print(as_text(console, name + text, "dim"))
        if slow := pace_text(row):
            console.print(as_text(console, name + slow, "yellow"))
        if row.expected:
            text = f"{name}{row.status}, as expected: {plain(row.expected)}"
            console.print(as_text(console, text, "dim"))
        elif row.error:
            console.print(as_text(console, name + row.error, "red"))
        for line in row.output:
            console.print(as_text(console, f"    | {line}", "dim"))


def _print_other_accuracies(console: Console, group: list[CellRow]) -> None:
    """Print the accuracies by the task's further metrics, if it has any."""
    if accuracies.metrics(group):
        columns, lines = accuracies.columns(group), accuracies.lines(group)
        _print_small_table(console, accuracies.TITLE, columns, lines)


def _print_other_metrics(console: Console, group: list[CellRow]) -> None:
    """Print the values of metrics that the main table has no column for, if there are any."""
    if other_metrics.metrics(group):
        columns, lines = other_metrics.columns(group), other_metrics.lines(group)
        _print_small_table(console, other_metrics.TITLE, columns, lines)


def _print_small_table(
    console: Console, title: str, columns: Sequence[str], lines: Sequence[Sequence[str]]
) -> None:
    console.print()
    console.print(as_text(console, title, "bold"))
    print_texts(console, columns, lines)


def _print_theory(console: Console, group: list[CellRow]) -> None:
    """Print theoretical and measured speed-ups of compressed cells, if there are any.

    A narrow terminal gets fewer columns.
    """
    if not group:
        return
    last = {_WITH_BARS: "parameters", _WITH_SIZE: "points lost"}
    hidden = {name for width, name in last.items() if console.width < width}
    lines = [
        [
            text
            for name, text in zip(theory.COLUMNS, theory.cells(row), strict=True)
            if name not in hidden
        ]
        for row in group
    ]
    console.print()
    console.print(as_text(console, theory.TITLE, "bold"))
    print_texts(console, [name for name in theory.COLUMNS if name not in hidden], lines)
    console.print(as_text(console, theory.LEGEND, "dim"))


def _print_widths(console: Console, group: list[CellRow]) -> None:
    """Print a sentence for each net that passes made."""
    nets, others = layers.changed(group), layers.replaced(group)
    if not nets and not others:
        return
    hint = " (each layer: perfsuite report RUN)" if nets else ""
    console.print()
    console.print(as_text(console, f"{layers.TITLE}{hint}", "bold"))
    for name, replacement in others.items():
        console.print(as_text(console, f"{name}: {replacement}"))
    for name, net in nets.items():
        console.print(as_text(console, f"{name}: {layers.sentence(net)}"))
        for reason in layers.reasons(net):
            console.print(as_text(console, f"  {reason}"))


def _print_budgets(console: Console, verdicts: Sequence[Verdict]) -> None:
    from rich.table import Table

    by_budget: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_budget.setdefault(verdict.budget, []).append(verdict)
    for budget, group in by_budget.items():
        console.print()
        console.print(as_text(console, plain(budget), "bold"))
        shown = [
            one for one in group if budget != "regression" or one.status != "pass" or one.again
        ]
        lines = Table.grid(padding=(0, 1))
        lines.add_column()
        lines.add_column(overflow="fold")
        for verdict in shown:
            symbol = symbol_of(verdict.status)
            lines.add_row(
                as_text(console, symbol, _STYLES[symbol]), as_text(console, verdict_line(verdict))
            )
        if len(group) > len(shown):
            text = passed_text([one for one in group if one not in shown], len(group))
            lines.add_row(as_text(console, "✓", "green"), as_text(console, text))
        console.print(lines)


def print_warnings(console: Console, warnings: Sequence[str]) -> None:
    """Print the warnings, if there are any."""
    if warnings:
        console.print()
        console.print(as_text(console, "warnings", "bold yellow"))
    for warning in warnings:
        console.print(as_text(console, f"! {plain(warning)}", "yellow"))


def print_findings(console: Console, found: Sequence[Found]) -> None:
    """Print what is wrong with the libraries underneath, and how to mend it, if anything is."""
    if found:
        console.print()
        console.print(as_text(console, findings.TITLE, "bold"))
    for one in found:
        symbol = findings.SYMBOLS[one.finding.severity]
        wrong, fix = findings.sentences(one)
        style = "red" if one.finding.severity == "fault" else "yellow"
        console.print(as_text(console, f"{symbol} {wrong}", style))
        console.print(as_text(console, f"  {fix}"))


def _change_row(change: CellChange) -> list[tuple[str, str]]:
    before, after = change.before, change.after
    if change.latency_before_s is not None:
        before = words.seconds(change.latency_before_s)
    if change.latency_after_s is not None:
        after = words.seconds(change.latency_after_s)
    text, style = change_text(change.latency_ratio), ""
    if change.latency_ratio is not None:
        style = "red" if change.latency_ratio.low > 1.0 else ""
        style = "green" if change.latency_ratio.high < 1.0 else style
    return [
        (change.key, ""),
        (before, ""),
        (after, ""),
        (text, style),
        (measured_text(change), ""),
        (loss_text(change.loss_points), ""),
    ]

"""Markdown, for pull requests and documents."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from perfsuite.domain.judgement import Judgement
from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED
from perfsuite.domain.record import Run
from perfsuite.judge.findings import found_in
from perfsuite.report import words
from perfsuite.report.sentences import caution_sentence, verdict_sentence
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
from perfsuite.report.tables.texts import (
    accuracy_text,
    instruction_sets_text,
    latency_text,
    loss_text,
    metric_text,
    pace_text,
    rest_text,
    row_symbol,
    size_text,
    speedup_text,
    stages_text,
    symbol_of,
)

_SPECIAL = str.maketrans({one: f"\\{one}" for one in "\\`*_[]<>|~#"})
_COLUMNS = (
    *("", "cell", "latency", "speed-up", "accuracy", "points lost", "memory", "size"),
    *("instructions", "notes"),
)


class Markdown:
    """Tables, verdicts and warnings, for pull requests and documents."""

    suffix = ".md"

    def render(self, run: Run, judgement: Judgement) -> str:
        """Return the tables, the verdicts and the warnings."""
        parts = [f"# {escape(run.header.suite.name)}", escape(title(run))]
        if run.header.suite.ablation:
            table = markdown_table(ablation.COLUMNS, ablation.lines(run))
            parts += [f"## {ablation.TITLE}", table, *map(escape, ablation.sentences(run))]
            return _joined([*parts, *_findings(run)], judgement)
        if run.header.suite.sensitivity is not None:
            table = markdown_table(sensitivity.columns(run), sensitivity.lines(run))
            parts += [f"## {sensitivity.TITLE}", table]
            parts += [escape(one) for one in sensitivity.sentences(run)]
            parts += _findings(run)
            return _joined(parts, judgement)
        for workload, group in groups(rows(run, judgement)).items():
            parts += [
                f"## {escape(workload)}",
                markdown_table(_COLUMNS, (_cells(row) for row in group)),
            ]
            parts += [escape(one) for one in inputs.sentences(group)]
            parts += [escape(one) for one in uncounted.sentences(group)]
            if accuracies.metrics(group):
                parts += [
                    f"### {accuracies.TITLE}",
                    markdown_table(accuracies.columns(group), accuracies.lines(group)),
                ]
            if other_metrics.metrics(group):
                parts += [
                    f"### {other_metrics.TITLE}",
                    markdown_table(other_metrics.columns(group), other_metrics.lines(group)),
                ]
            if small := theory.compressed(group):
                lines = (theory.cells(row) for row in small)
                parts += [
                    f"### {theory.TITLE}",
                    markdown_table(theory.COLUMNS, lines),
                    theory.LEGEND,
                ]
            parts += _kept(group)
            parts += _widths(group)
        parts += _across(run)
        parts += _findings(run)
        if judgement.verdicts:
            lines = (
                (
                    symbol_of(one.status),
                    one.budget,
                    one.cell,
                    one.status.replace("_", " "),
                    verdict_sentence(one),
                )
                for one in judgement.verdicts
            )
            parts += [
                "## Verdicts",
                markdown_table(("", "budget", "cell", "verdict", "words"), lines),
            ]
            if run.header.certificate is not None:
                parts.append(escape(certificate_sentence(run.header.certificate)))
        parts += _breakdowns(run)
        return _joined(parts, judgement)


def _joined(parts: Sequence[str], judgement: Judgement) -> str:
    """Return the parts, the warnings and the outcome as one text."""
    warnings = _warnings([caution_sentence(one) for one in judgement.warnings])
    return "\n\n".join([*parts, *warnings, f"**{escape(summary(judgement))}**"]) + "\n"


def _kept(group: Sequence[CellRow]) -> list[str]:
    """Return a list of the layers that stay in float, and why, if there are any."""
    lines = [f"- {escape(f'{short_key(row)}: {one}')}" for row in group for one in layers.kept(row)]
    return ["\n".join(lines)] if lines else []


def _widths(group: Sequence[CellRow]) -> list[str]:
    """Return by which nets models were replaced, and a table of the layers of other nets.

    The table is collapsed behind a sentence, which is HTML, so it needs no escapes of Markdown.
    """
    nets = layers.changed(group)
    others = [f"- {escape(f'{name}: {words}')}" for name, words in layers.replaced(group).items()]
    tables = (
        f"<details><summary>{html.escape(f'{name}: {layers.sentence(net)}')}</summary>\n\n"
        f"{markdown_table(layers.COLUMNS, layers.lines(net))}\n\n{_reasons(net)}</details>"
        for name, net in nets.items()
    )
    told = ["\n".join(others)] if others else []
    return [f"### {layers.TITLE}", *told, *tables] if nets or others else []


def _reasons(net: layers.Widths) -> str:
    """Return a list of the reasons why layers were left alone, and a blank line; '' for none."""
    lines = [f"- {escape(reason)}" for reason in layers.reasons(net)]
    return "\n".join([*lines, "", ""]) if lines else ""


def _across(run: Run) -> list[str]:
    """Return what becomes of INT8 on other processors, if the run asks for that."""
    if run.header.suite.across is None:
        return []
    table = markdown_table(across.COLUMNS, across.lines(run))
    told = [escape(one) for one in across.sentences(run)]
    return [f"## {across.TITLE}", *([table] if across.lines(run) else []), *told]


def _findings(run: Run) -> list[str]:
    """Return a table of what is wrong with the libraries underneath, if anything is."""
    found = found_in(run)
    if not found:
        return []
    table = markdown_table(findings.COLUMNS, findings.lines(found))
    return [f"## {findings.TITLE}", table]


def _breakdowns(run: Run) -> list[str]:
    """Return a table of the breakdowns of all profiled cells, if there are any."""
    found = [(one.cell.key, one.breakdown) for one in run.records.values() if one.breakdown]
    if not found:
        return []
    columns = ("cell", "profiled call", "stages", OVERHEAD, UNATTRIBUTED)
    lines = (
        (
            key,
            words.seconds(breakdown.total_s),
            stages_text(breakdown),
            rest_text(breakdown, OVERHEAD),
            rest_text(breakdown, UNATTRIBUTED),
        )
        for key, breakdown in found
    )
    return ["## Where the time goes", markdown_table(columns, lines)]


def escape(text: str) -> str:
    """Return the text as one line, with all characters escaped that Markdown interprets."""
    return plain(text).translate(_SPECIAL)


def _cells(row: CellRow) -> tuple[str, ...]:
    notes = [*row.labels, rounding_text(row), pace_text(row), row.expected or row.error]
    named = metric_text(row.accuracy_metric, row)
    metric = f"{named} " if row.accuracy is not None else ""
    return (
        row_symbol(row),
        short_key(row),
        latency_text(row),
        speedup_text(row),
        metric + accuracy_text(row),
        loss_text(row.loss_points),
        size_text(row.run_peak_bytes),
        size_text(row.artifact_bytes),
        instruction_sets_text(row),
        "; ".join(note for note in notes if note),
    )


def markdown_table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table whose cells are escaped."""
    head = [_line(columns), _line(["---"] * len(columns))]
    return "\n".join([*head, *(_line([escape(one) for one in line]) for line in lines)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _warnings(warnings: Sequence[str]) -> list[str]:
    if not warnings:
        return []
    return ["## Warnings", "\n".join(f"- {escape(warning)}" for warning in warnings)]

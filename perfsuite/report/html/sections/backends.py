"""The libraries underneath: what ran, with which instruction sets, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from perfsuite.domain.record import Evidence
from perfsuite.judge.findings import found_in
from perfsuite.report.html.blocks import Block, Fold, Folds, Heading, Section, Table, Tone, Value
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import cell_place
from perfsuite.report.html.sections.answer import tone_of
from perfsuite.report.html.values import count, number, said
from perfsuite.report.sentences import verdict_sentence
from perfsuite.report.tables import findings, kernels
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key
from perfsuite.report.tables.texts import instruction_sets_text, symbol_of
from perfsuite.report.words import percent

_INTRO = (
    "What an engine could have used proves nothing: this is what ran. It was observed while it "
    "ran, reported by the engine, or inferred."
)
_COLUMNS = ("cell", "device", "instruction sets", "MACs in 8 bits", "kernels", "findings")


def backends(page: Page) -> Section | None:
    """Return what ran in each cell, the findings, and whether what is required was shown."""
    known = [row for row in page.rows if _evidence(page, row) is not None]
    if not known:
        return None
    blocks: list[Block] = [
        Table("What ran in each cell", _COLUMNS, [_line(page, row) for row in known])
    ]
    blocks += _findings(page) + _required(page)
    folds = [fold for row in known if (fold := _cell(page, row)) is not None]
    blocks += [Heading("The evidence, cell by cell"), Folds("cell", folds)] if folds else []
    return Section("backends", "Backends: what really ran", blocks, _INTRO, "Backends")


def _evidence(page: Page, row: CellRow) -> Evidence | None:
    record = page.run.records.get(row.cell.id)
    return None if record is None else record.evidence


def _line(page: Page, row: CellRow) -> tuple[Value, ...]:
    evidence = _evidence(page, row)
    ran = sum(evidence.kernels.values()) if evidence else 0
    wrong = len(row.findings)
    return (
        said(row.key, link=cell_place(row.cell)),
        said(row.device_name or row.cell.device),
        said(instruction_sets_text(row)),
        number(row.int8_share, percent),
        count(ran) if ran else Value(""),
        said(f"{wrong} finding{'s' * (wrong != 1)}", tone="unsure") if wrong else said("none"),
    )


def _findings(page: Page) -> list[Block]:
    found = found_in(page.run)
    if not found:
        return []
    tones: list[Tone] = ["bad" if one.finding.severity == "fault" else "unsure" for one in found]
    texts = findings.lines(found)
    lines = [
        (said(f"{line[0]} {line[1]}", tone=tone), *(said(one) for one in line[2:]))
        for line, tone in zip(texts, tones, strict=True)
    ]
    columns = ("severity", *findings.COLUMNS[2:])
    return [Heading(findings.TITLE), Table("Findings, the faults first", columns, lines)]


def _required(page: Page) -> list[Block]:
    ours = [one for one in page.judgement.verdicts if one.check == "require"]
    if not ours:
        return []
    lines = [
        (
            said(f"{symbol_of(one.status)} {one.status}", tone=tone_of(one.status)),
            said(one.budget),
            said(one.cell),
            said(verdict_sentence(one)),
        )
        for one in ours
    ]
    columns = ("shown", "what is required", "cell", "in words")
    return [Heading("What the suite requires"), Table("Requirements, by cell", columns, lines)]


def _cell(page: Page, row: CellRow) -> Fold | None:
    evidence = _evidence(page, row)
    if evidence is None or not (evidence.items or evidence.layers or evidence.kernels):
        return None
    blocks: list[Block] = []
    if evidence.items:
        lines = [
            (said(about), said(name), said(value), said(how))
            for about, name, value, how in _items(evidence)
        ]
        columns = ("about", "what", "found", "how it is known")
        blocks.append(Table(f"{plain(row.key)}: evidence", columns, lines, lazy=True))
    if evidence.layers:
        told = [tuple(map(said, line)) for line in kernels.lines(evidence.layers)]
        caption = f"{plain(row.key)}: kernels of the layers"
        blocks.append(Table(caption, kernels.COLUMNS, told, lazy=True))
    elif evidence.kernels:
        counted = sorted(evidence.kernels.items(), key=lambda one: -one[1])
        often = [(said(kind), count(times)) for kind, times in counted]
        caption = f"{plain(row.key)}: kernels that ran"
        blocks.append(Table(caption, ("kernel", "how often"), often, lazy=True))
    sets = instruction_sets_text(row)
    summary = " · ".join(one for one in (plain(short_key(row)), sets) if one)
    return Fold(f"{plain(row.cell.workload)}: {summary}", blocks)


def _items(evidence: Evidence) -> Sequence[tuple[str, str, str, str]]:
    """Return the items, those that differ in their value alone as one."""
    ordered = sorted(evidence.items, key=lambda one: (one.about, one.name, one.how))
    return [
        (about, name, ", ".join(dict.fromkeys(one.value for one in them)), how)
        for (about, name, how), them in groupby(
            ordered, key=lambda one: (one.about, one.name, one.how)
        )
    ]

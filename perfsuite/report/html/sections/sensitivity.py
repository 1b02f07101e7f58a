"""What each layer or stage costs and gains if it alone is compressed."""

from __future__ import annotations

from perfsuite.judge.sensitivity import sensitivities
from perfsuite.report.html.blocks import Section, Table, Value, text
from perfsuite.report.html.page import Page
from perfsuite.report.html.values import said, worded
from perfsuite.report.tables import sensitivity as texts


def sensitivity(page: Page) -> Section | None:
    """Return the table of a run that asks for it, the worst part first."""
    if page.run.header.suite.sensitivity is None:
        return None
    columns = texts.columns(page.run)
    lines = []
    for part, line in zip(sensitivities(page.run), texts.lines(page.run), strict=True):
        lost = (
            worded(line[2], part.points_lost)
            if part.points_lost is not None
            else Value(line[2], part.error_percent)
        )
        saved = worded(line[3], part.saved_s) if part.saved_s is not None else said(line[3])
        each = worded(line[4], part.lost_per_ms)
        lines.append((said(line[1]), said(line[0]), lost, saved, each, said(line[5])))
    heads = (columns[1], columns[0], *columns[2:5], "note")
    blocks = (Table(texts.TITLE, heads, lines), text(*texts.sentences(page.run), tone="quiet"))
    return Section("sensitivity", texts.TITLE, blocks, short="Sensitivity")

"""What becomes of INT8 on other processors."""

from __future__ import annotations

from perfsuite.judge.across import elsewhere
from perfsuite.report.html.blocks import Block, Section, Table, Value, text
from perfsuite.report.html.page import Page
from perfsuite.report.html.values import said, worded
from perfsuite.report.tables import across as texts


def across(page: Page) -> Section | None:
    """Return the table of a run that asks for it, and what it comes to."""
    if page.run.header.suite.across is None:
        return None
    blocks: list[Block] = [text(*texts.sentences(page.run))]
    lines = []
    for one, line in zip(elsewhere(page.run), texts.lines(page.run), strict=True):
        samples = Value(line[4], one.samples) if one.samples else said("")
        here = Value(line[6], one.here)
        there = said(line[7]) if one.there is None else Value(line[7], one.there)
        ends = (samples, said(line[5]), here, there, worded(line[8], one.lost))
        lines.append((*(said(text) for text in line[:4]), *ends))
    if lines:
        blocks.append(Table(texts.TITLE, texts.COLUMNS, lines))
    return Section("across", texts.TITLE, blocks, short="Other processors")

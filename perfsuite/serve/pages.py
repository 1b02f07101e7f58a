"""The index of runs, and pages that say one thing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from perfsuite.report.html.blocks import Block, Section, Table, Text, Tone, Value
from perfsuite.report.html.page import document
from perfsuite.report.html.values import said
from perfsuite.report.tables.cell_rows import plain
from perfsuite.serve.found import Listed

RUN = "/run/"
_COLUMNS = ("run", "outcome", "cells", "date", "suite")
_TONES: dict[int | None, Tone] = {0: "good", 1: "bad"}


def index_page(folder: Path, found: Sequence[Listed]) -> str:
    """Return the page that leads to the runs of `folder`."""
    where = plain(str(folder))
    waiting = sum(one.pending for one in found)
    blocks: list[Block] = []
    if waiting:
        count = f"{waiting} run{'s' * (waiting != 1)}"
        blocks.append(Text((f"{count} still to be judged: this page goes on by itself.",)))
    if found:
        blocks.append(Table("All runs, the newest first", _COLUMNS, [_line(one) for one in found]))
    else:
        told = f"There are no runs in {where} yet. Measure one:"
        blocks.append(Text((told,), command=f"perfsuite run suite.toml -o {where}/first"))
    return document(
        f"Runs in {where}", "Read from their records, on this machine.", [_section("Runs", blocks)]
    )


def message_page(title: str, words: str) -> str:
    """Return a page that says why there is nothing else to be seen."""
    return document(title, "", [_section("Why", [Text((words,), "bad")])])


def _section(title: str, blocks: Sequence[Block]) -> Section:
    return Section(title.lower(), title, blocks)


def _line(one: Listed) -> tuple[Value, ...]:
    address = RUN + quote(os.fsencode(one.name))
    # A name that is no text at all still has an address.
    name = Value(plain(one.name) or "this folder", page=address)
    if one.pending:
        return (name, said("to be judged", tone="quiet"), *map(said, ("", "", "")))
    if one.trouble:
        return (name, said(one.trouble, tone="bad"), *map(said, ("", "", "")))
    tone = _TONES.get(one.exit_code, "unsure")
    return (
        name,
        said(one.outcome, tone=tone),
        said(one.cells),
        said(one.when),
        said(one.suite),
    )

"""JSON: everything that was found and said, for programs."""

from __future__ import annotations

import msgspec

from perfsuite.domain.record import Header, Run
from perfsuite.domain.verdict import Judgement
from perfsuite.judge import Comparison
from perfsuite.report.cell_rows import CellRow, rows


class Document(msgspec.Struct, frozen=True):
    """A judged run. The raw samples stay in its `run.jsonl`."""

    header: Header
    rows: list[CellRow]
    judgement: Judgement


def render(run: Run, judgement: Judgement) -> str:
    """Return a `Document`."""
    return _encode(Document(run.header, rows(run, judgement), judgement))


def render_comparison(comparison: Comparison) -> str:
    """Return the comparison."""
    return _encode(comparison)


def _encode(document: Document | Comparison) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"

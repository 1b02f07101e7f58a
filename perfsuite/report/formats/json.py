"""JSON: all results and sentences of a judged run, for programs."""

from __future__ import annotations

import msgspec

from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Header, Run
from perfsuite.report.documents import JudgementDocument, judgement_document
from perfsuite.report.tables.cell_rows import CellRow, rows


class Document(msgspec.Struct, frozen=True):
    """A judged run. The raw samples stay in its `run.jsonl`."""

    header: Header
    rows: list[CellRow]
    judgement: JudgementDocument


class Json:
    """All results and sentences, for programs."""

    suffix = ".json"

    def render(self, run: Run, judgement: Judgement) -> str:
        """Return a `Document`."""
        document = Document(run.header, rows(run, judgement), judgement_document(judgement))
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"

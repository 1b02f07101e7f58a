"""JSON: all results and sentences of a judged run, for programs."""

from __future__ import annotations

import msgspec

from perfsuite.domain.elsewhere import Elsewhere, PortableCost
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Header, Run
from perfsuite.judge.ablation import Worth, worths
from perfsuite.judge.across import elsewhere, portable_costs
from perfsuite.judge.sensitivity import Part, sensitivities
from perfsuite.report.documents import JudgementDocument, judgement_document
from perfsuite.report.tables.cell_rows import CellRow, rows


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """A judged run. The raw samples stay in its `run.jsonl`.

    `sensitivity` holds, of a run that asks for it, what each part costs and gains, the worst first,
    `ablation` what each library is worth, and `across` what becomes of INT8 on other processors,
    with what its portable form costs.
    """

    header: Header
    rows: list[CellRow]
    judgement: JudgementDocument
    sensitivity: list[Part] = []
    across: tuple[Elsewhere, ...] = ()
    portable_costs: tuple[PortableCost, ...] = ()
    ablation: list[Worth] = []


class Json:
    """All results and sentences, for programs."""

    suffix = ".json"

    def render(self, run: Run, judgement: Judgement) -> str:
        """Return a `Document`."""
        document = Document(
            run.header,
            rows(run, judgement),
            judgement_document(judgement),
            sensitivities(run),
            elsewhere(run),
            portable_costs(run),
            worths(run),
        )
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"

"""What programs read: judgements and comparisons with their sentences beside the numbers."""

from __future__ import annotations

import msgspec

from perfsuite.domain.judgement import Judgement
from perfsuite.domain.verdict import Verdict
from perfsuite.judge import CellChange, Comparison
from perfsuite.report.sentences import caution_sentence, comparison_warnings


class JudgementDocument(msgspec.Struct, frozen=True):
    """A judgement whose warnings are sentences."""

    verdicts: tuple[Verdict, ...]
    exit_code: int
    warnings: tuple[str, ...]


class ComparisonDocument(msgspec.Struct, frozen=True):
    """A comparison whose warnings are sentences."""

    before: str
    after: str
    changes: tuple[CellChange, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    warnings: tuple[str, ...]


def judgement_document(judgement: Judgement) -> JudgementDocument:
    """Return the judgement for programs."""
    warnings = tuple(caution_sentence(one) for one in judgement.warnings)
    return JudgementDocument(judgement.verdicts, judgement.exit_code, warnings)


def comparison_document(comparison: Comparison) -> ComparisonDocument:
    """Return the comparison for programs."""
    return ComparisonDocument(
        comparison.before,
        comparison.after,
        comparison.changes,
        comparison.only_before,
        comparison.only_after,
        comparison_warnings(comparison),
    )

"""Judgements and comparisons for programs, with sentences added to the numbers."""

from __future__ import annotations

import msgspec

from perfsuite.domain.judgement import Judgement
from perfsuite.domain.verdict import Verdict
from perfsuite.judge import CellChange, Comparison
from perfsuite.report.sentences import (
    caution_sentence,
    change_notes,
    comparison_warnings,
    verdict_sentence,
)


class VerdictDocument(Verdict, frozen=True):
    """A verdict with its sentence."""

    words: str = ""


class ChangeDocument(CellChange, frozen=True):
    """A cell's change, with its sentences."""

    notes: tuple[str, ...] = ()


class JudgementDocument(msgspec.Struct, frozen=True):
    """A judgement whose verdicts have sentences, and whose warnings are sentences."""

    verdicts: tuple[VerdictDocument, ...]
    exit_code: int
    warnings: tuple[str, ...]


class ComparisonDocument(msgspec.Struct, frozen=True):
    """A comparison whose warnings are sentences."""

    before: str
    after: str
    changes: tuple[ChangeDocument, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    warnings: tuple[str, ...]


def judgement_document(judgement: Judgement) -> JudgementDocument:
    """Return the judgement for programs."""
    warnings = tuple(caution_sentence(one) for one in judgement.warnings)
    verdicts = tuple(
        VerdictDocument(**msgspec.structs.asdict(one), words=verdict_sentence(one))
        for one in judgement.verdicts
    )
    return JudgementDocument(verdicts, judgement.exit_code, warnings)


def comparison_document(comparison: Comparison) -> ComparisonDocument:
    """Return the comparison for programs."""
    return ComparisonDocument(
        comparison.before,
        comparison.after,
        tuple(
            ChangeDocument(**msgspec.structs.asdict(one), notes=change_notes(one))
            for one in comparison.changes
        ),
        comparison.only_before,
        comparison.only_after,
        comparison_warnings(comparison),
    )

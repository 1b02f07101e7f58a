"""Sentences on the comparison of two runs."""

from __future__ import annotations

from perfsuite.judge import CellChange, Comparison
from perfsuite.report.sentences.caution import caution_sentence, version_text
from perfsuite.report.sentences.reason import reason_text

TURNED = (
    "the run that is called before is the newer one of the two: what is told is the way back, "
    "unless this order is meant"
)


def comparison_warnings(comparison: Comparison) -> tuple[str, ...]:
    """Return the warnings on two runs, and the versions in which they differ."""
    turned = [TURNED] if comparison.turned else []
    versions = (f"version: {version_text(change)}" for change in comparison.versions)
    return (*turned, *(caution_sentence(one) for one in comparison.warnings), *versions)


def change_notes(change: CellChange) -> tuple[str, ...]:
    """Return why numbers of one cell are missing, and by which cell its times were divided."""
    notes = [reason_text(one) for one in change.reasons]
    return (*notes, *([f"relative to {change.yardstick}"] if change.yardstick else []))

"""What there is to say of two runs that are compared, without judging."""

from __future__ import annotations

from perfsuite.judge import CellChange, Comparison
from perfsuite.report.sentences.caution import caution_sentence, version_text
from perfsuite.report.sentences.reason import reason_text


def comparison_warnings(comparison: Comparison) -> tuple[str, ...]:
    """Return what a person should know of two runs, and each version in which they differ."""
    versions = (f"version: {version_text(change)}" for change in comparison.versions)
    return (*(caution_sentence(one) for one in comparison.warnings), *versions)


def change_notes(change: CellChange) -> tuple[str, ...]:
    """Return why a number of one cell is not there, and what its latencies were divided by."""
    notes = [reason_text(one) for one in change.reasons]
    return (*notes, *([f"relative to {change.yardstick}"] if change.yardstick else []))

"""Sentences on judgements: on verdicts, reasons, cautions, comparisons and bottlenecks."""

from perfsuite.report.sentences.bottleneck import bottleneck_sentences, profiling_sentences
from perfsuite.report.sentences.caution import cause_text, caution_sentence
from perfsuite.report.sentences.comparison import change_notes, comparison_warnings
from perfsuite.report.sentences.reason import reason_text
from perfsuite.report.sentences.verdict import verdict_sentence

__all__ = [
    "bottleneck_sentences",
    "cause_text",
    "caution_sentence",
    "change_notes",
    "comparison_warnings",
    "profiling_sentences",
    "reason_text",
    "verdict_sentence",
]

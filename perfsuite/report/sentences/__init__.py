"""What was found and judged, in words: of each thing that judging tells, its sentence."""

from perfsuite.report.sentences.bottleneck import bottleneck_sentences, profiling_sentences
from perfsuite.report.sentences.caution import cause_text, caution_sentence, comparison_warnings

__all__ = [
    "bottleneck_sentences",
    "cause_text",
    "caution_sentence",
    "comparison_warnings",
    "profiling_sentences",
]

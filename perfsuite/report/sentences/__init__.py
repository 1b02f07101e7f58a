"""What was found and judged, in words: of each thing that judging tells, its sentence."""

from perfsuite.report.sentences.bottleneck import bottleneck_sentences, profiling_sentences

__all__ = ["bottleneck_sentences", "profiling_sentences"]

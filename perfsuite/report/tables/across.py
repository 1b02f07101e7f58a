"""What becomes of INT8 on other processors, for all formats."""

from __future__ import annotations

from perfsuite.domain.elsewhere import Elsewhere
from perfsuite.domain.record import Run
from perfsuite.judge.across import elsewhere
from perfsuite.report.sentences.across import across_sentence, cost_sentences, problem_sentences
from perfsuite.report.tables.cell_rows import plain
from perfsuite.report.tables.texts import loss_text, share_text

TITLE = "INT8 on other processors"
COLUMNS = (
    "runtime",
    "recipe",
    "best there",
    "known by",
    "samples",
    "metric",
    "here",
    "there",
    "points lost",
)


def lines(run: Run) -> list[tuple[str, ...]]:
    """Return a line for each artifact and other processor, in the order of `COLUMNS`."""
    return [_line(one) for one in elsewhere(run)]


def sentences(run: Run) -> list[str]:
    """Return what it comes to in one sentence, what the portable form costs, and what is open."""
    summary = across_sentence(run)
    told = [*([summary] if summary else []), *cost_sentences(run), *problem_sentences(run)]
    return [plain(one) for one in told]


def _line(one: Elsewhere) -> tuple[str, ...]:
    return (
        plain(one.runtime),
        plain(one.recipe),
        one.where,
        one.by,
        f"{one.samples:,}" if one.samples else "",
        plain(one.metric),
        "" if one.here is None else share_text(one.here),
        one.status if one.there is None else share_text(one.there),
        loss_text(one.lost),
    )

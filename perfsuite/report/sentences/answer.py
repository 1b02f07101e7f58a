"""The answer that a run gives, in words: whether budgets hold, and which variants are best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from perfsuite.domain.judgement import Judgement
from perfsuite.domain.verdict import Verdict
from perfsuite.report import words
from perfsuite.report.tables.best import Best
from perfsuite.report.tables.cell_rows import SEVERITY, UNDECIDED, CellRow, plain, short_key

NOT_ALL = "whether all its limits hold cannot be told"


def headline(judgement: Judgement) -> str:
    """Return in one sentence whether everything holds that the run was held to."""
    verdicts = judgement.verdicts
    if not verdicts:
        return "Nothing was judged: there are no budgets, and there is no baseline."
    total = f"{len(verdicts)} verdict{'s' * (len(verdicts) != 1)}"
    counts = Counter(one.status for one in verdicts)
    if counts["pass"] == len(verdicts):
        if len(verdicts) == 1:
            return "The one limit holds."
        return f"Everything holds: all {total} pass."
    unsure = sum(one.status in UNDECIDED for one in verdicts)
    if len(verdicts) == 1:
        return _of_one(verdicts[0])
    broken = len(verdicts) - counts["pass"] - unsure
    hold = "does not hold" if broken == 1 else "do not hold"
    told = [f"{broken} of {total} {hold}"] if broken else []
    told += [f"{unsure}{'' if broken else f' of {total}'} cannot be told"] if unsure else []
    return f"{', and '.join(told)}."


def _of_one(verdict: Verdict) -> str:
    if verdict.status == "failed":
        return f"{plain(verdict.cell)} failed."
    if verdict.status in UNDECIDED:
        return "Whether the one limit holds cannot be told."
    return "The one limit does not hold."


def budget_sentence(verdicts: Sequence[Verdict]) -> str:
    """Return on how many cells a limit holds, by the verdicts on it."""
    counts = Counter(one.status for one in verdicts)
    if counts["pass"] == len(verdicts):
        return "holds" if len(verdicts) == 1 else f"holds in all {len(verdicts)} cells"
    told = ", ".join(
        f"{counts[one]} {'hold' if one == 'pass' else one.replace('_', ' ')}"
        for one in SEVERITY
        if counts[one]
    )
    if len(verdicts) == 1:
        return verdicts[0].status.replace("_", " ")
    return f"of {len(verdicts)} cells: {told}"


def best_sentence(best: Best) -> str:
    """Return which variant of a workload is best, and how fast and how good it is."""
    if best.row is not None:
        found = f"{plain(short_key(best.row))} is {_fast(best.row)}, {lost(best.row)}"
        return f"{found}; {NOT_ALL}." if best.open else f"{found}."
    if best.nearest is None:
        return "There is no variant that was measured and compared."
    speedup = best.nearest.speedup
    if speedup is not None and speedup.low <= 1.0 and words.is_noise(speedup):
        return "No variant is proven faster than its reference: what was measured is noise."
    nearest = f"{plain(short_key(best.nearest))}: {_fast(best.nearest)}, {lost(best.nearest)}"
    if speedup is not None and speedup.low <= 1.0:
        return f"No variant is proven faster than its reference; the fastest is {nearest}."
    return f"No variant holds its limits; the fastest is {nearest}."


def faster_than(row: CellRow) -> str:
    """Return `faster than fp32/pytorch/cpu/b1 (22x to 24x)`; where that is noise, it says so."""
    found = row.speedup
    if found is None:
        return "not compared"
    reference = plain(row.reference.removeprefix(f"{row.cell.workload}/"))
    if words.is_noise(found):
        return f"faster than {reference}, by how much is noise"
    return f"faster than {reference}{words.spread(found, words.times)}"


def lost(row: CellRow) -> str:
    """Return `0.4 points of top1 lost (0.2 to 0.6)`, or that it gains, or that it is not known."""
    found = row.loss_points
    if found is None:
        return "its accuracy was not compared"
    metric = plain(row.accuracy_metric)
    around = words.spread(found, words.points)
    if found.value < 0.0:
        around = around.replace("(", "(a loss of ", 1)
        return f"{words.points(-found.value)} points of {metric} gained{around}"
    return f"{words.points(found.value)} points of {metric} lost{around}"


def _fast(row: CellRow) -> str:
    if row.speedup is None or words.is_noise(row.speedup):
        return faster_than(row)
    return f"{words.times(row.speedup.value)} {faster_than(row)}"

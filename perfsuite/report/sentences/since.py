"""What has changed between two runs, in one sentence."""

from __future__ import annotations

from perfsuite.judge import CellChange, Comparison


def is_faster(change: CellChange) -> bool:
    """Return whether it is proven that calls take less time than before."""
    return change.latency_ratio is not None and change.latency_ratio.high < 1.0


def is_slower(change: CellChange) -> bool:
    """Return whether it is proven that calls take more time than before."""
    return change.latency_ratio is not None and change.latency_ratio.low > 1.0


def loses(change: CellChange) -> bool:
    """Return whether it is proven that accuracy was lost."""
    return change.loss_points is not None and change.loss_points.low > 0.0


def gains(change: CellChange) -> bool:
    """Return whether it is proven that accuracy was gained."""
    return change.loss_points is not None and change.loss_points.high < 0.0


def since_sentence(comparison: Comparison) -> str:
    """Return how many cells have become faster, slower, more and less accurate."""
    changes = comparison.changes
    if not changes:
        return "The two runs have no cell in common."
    timed = [one for one in changes if one.latency_ratio is not None]
    same = sum(not is_faster(one) and not is_slower(one) for one in timed)
    counts = (
        (sum(map(is_faster, timed)), "faster"),
        (sum(map(is_slower, timed)), "slower"),
        (same, "not proven to have changed in speed"),
        (sum(map(gains, changes)), "more accurate"),
        (sum(map(loses, changes)), "less accurate"),
        (len(changes) - len(timed), "without a comparison of speed"),
    )
    told = [f"{count} {what}" for count, what in counts if count]
    cells = f"{len(changes)} cell{'s' * (len(changes) != 1)} in both runs"
    return f"Of {cells}: {', '.join(told)}."

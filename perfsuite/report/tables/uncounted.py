"""Multiply-accumulates that are only a part of all: the operators that have no formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfsuite.report import words
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key

_NAMED = 3  # cells in one sentence


def macs_text(macs: float, uncounted: Mapping[str, int]) -> str:
    """Return `1.2 G`, or `at least 1.2 G` where operators have no formula."""
    return f"{'at least ' * bool(uncounted)}{words.quantity(macs, '1')}"


def operators_text(uncounted: Mapping[str, int]) -> str:
    """Return the operators by name, each with its number: `3 GridSample, 1 STFT`."""
    return ", ".join(f"{number} {plain(name)}" for name, number in sorted(uncounted.items()))


def sentences(group: Sequence[CellRow]) -> list[str]:
    """Return one sentence for each set of operators without a formula, with the cells it is of."""
    cells: dict[str, list[CellRow]] = {}
    for row in group:
        if row.uncounted:
            cells.setdefault(operators_text(row.uncounted), []).append(row)
    return [_sentence(operators, found) for operators, found in cells.items()]


def _sentence(operators: str, found: Sequence[CellRow]) -> str:
    named = ", ".join(
        short_key(row) + (f" ({macs_text(row.macs, row.uncounted)})" if row.macs else "")
        for row in found[:_NAMED]
    )
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"MACs are only a part, as there is no formula for {operators}: {named}{more}"

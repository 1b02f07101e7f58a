"""The shapes of the inputs that cells were timed on, as sentences below their table."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.domain.shapes import shapes_text
from perfsuite.report.tables.cell_rows import CellRow, plain, short_key

_NAMED = 3  # cells in one sentence


def inputs_text(row: CellRow) -> str:
    """Return `x 1x3x640x640 (made up)`; '' where the run does not tell."""
    text = plain(shapes_text(row.input_shapes))
    return f"{text} (made up)" if text and row.made_up else text


def sentences(group: Sequence[CellRow]) -> list[str]:
    """Return what the cells of one workload were timed on; one sentence if it is the same for all.

    Where it follows from the batch size, that stands in the place of the cells.
    """
    cells: dict[str, list[CellRow]] = {}
    for row in group:
        if text := inputs_text(row):
            cells.setdefault(text, []).append(row)
    if len(cells) < 2:
        return [f"inputs: {text}" for text in cells]
    batches = {text: {row.cell.batch for row in found} for text, found in cells.items()}
    if sum(map(len, batches.values())) == len(set().union(*batches.values())):
        parts = [f"{text} (b{', b'.join(map(str, sorted(batches[text])))})" for text in cells]
        return [f"inputs: {'; '.join(parts)}"]
    return [f"inputs of {_named(found)}: {text}" for text, found in cells.items()]


def _named(found: Sequence[CellRow]) -> str:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(short_key(row) for row in found[:_NAMED]) + more

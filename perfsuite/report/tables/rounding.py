"""How much of a cell ran in 8 bits, and how alike its answers are to those of fp32."""

from __future__ import annotations

from perfsuite.report import words
from perfsuite.report.tables.cell_rows import CellRow, plain

_NEARLY_ALL = 0.95  # of the MACs
_NAMED = 2  # operators


def int8_text(row: CellRow) -> str:
    """Return `int8: 96 % of MACs`; empty where none were to run in 8 bits, or none were counted.

    Where it is clearly less than all, the operators with most of the rest are named.
    """
    if row.int8_share is None:
        return ""
    told = f"int8: {words.percent(row.int8_share)} of MACs"
    if row.int8_share >= _NEARLY_ALL or not row.float_shares:
        return told
    most = sorted(row.float_shares.items(), key=lambda item: -item[1])[:_NAMED]
    rest = ", ".join(f"{plain(kind)} {words.percent(share)}" for kind, share in most)
    return f"{told} (float: {rest})"


def likeness_text(row: CellRow) -> str:
    """Return `cos 0.9983 to fp32`, of the least alike output, and what was not compared.

    Of several outputs it names that one. It is empty where no pass changed any answers.
    """
    least = row.least_like
    left_out = [one for one in row.likeness if one.left_out]
    parts = []
    if least is not None and least.cosine is not None:
        which = f" ({plain(least.output)})" if len(row.likeness) > 1 else ""
        parts.append(f"cos {least.cosine:.4f} to fp32{which}")
    for reason in dict.fromkeys(one.left_out for one in left_out):
        names = ", ".join(plain(one.output) for one in left_out if one.left_out == reason)
        parts.append(f"{names} not compared with fp32: {reason}")
    return "; ".join(parts)


def rounding_text(row: CellRow) -> str:
    """Return both in one text."""
    return ", ".join(filter(None, (int8_text(row), likeness_text(row))))

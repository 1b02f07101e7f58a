"""An Einsum of a value and a constant is written as a matrix product, which has 8-bit kernels.

The value's axes that are kept come first, then those that are summed over; what is left of the
constant becomes the columns. Where an axis belongs to both operands and to the result, there is a
product for each of its places, and the Einsum stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_ELLIPSIS = "..."
_SPARE = "0123456789"  # letters for the axes of an ellipsis, which no equation has


@dataclass(frozen=True)
class Product:
    """How an Einsum is a product: axes in order, and the constant as a matrix.

    `before` brings the value's axes in the order (kept, summed over), the last `summed` of which
    become one; `matrix` has the axes (summed over, columns). Of the product's, (kept, columns),
    the last becomes `columns` axes again, and `after` brings all in the result's order.
    """

    before: tuple[int, ...]
    kept: int
    matrix: np.ndarray
    summed: int
    columns: tuple[int, ...]
    after: tuple[int, ...]


def as_product(equation: str, constant: np.ndarray, place: int, rank: int) -> Product | None:
    """Return the Einsum of two operands as a product; None if it is none.

    `place` is the constant's, 0 or 1, and `rank` the number of the other operand's axes.
    """
    terms = _terms(equation, (constant.ndim, rank) if place == 0 else (rank, constant.ndim))
    if terms is None:
        return None
    operands, result = terms
    fixed, value = operands[place], operands[1 - place]
    summed = [axis for axis in value if axis in fixed]
    kept = [axis for axis in value if axis not in fixed]
    columns = [axis for axis in fixed if axis not in value]
    if not summed or not kept or not columns or set(summed) & set(result):
        return None
    if sorted([*kept, *columns]) != sorted(result):
        return None
    turned = constant.transpose([fixed.index(axis) for axis in (*summed, *columns)])
    sizes = turned.shape[len(summed) :]
    return Product(
        before=tuple(value.index(axis) for axis in (*kept, *summed)),
        kept=len(kept),
        matrix=turned.reshape(-1, math.prod(sizes)),
        summed=len(summed),
        columns=sizes,
        after=tuple([*kept, *columns].index(axis) for axis in result),
    )


def _terms(equation: str, ranks: Sequence[int]) -> tuple[list[str], str] | None:
    """Return the axes of both operands and of the result, a letter each; None if it has others.

    No operand has an axis twice. An ellipsis stands for the axes of one operand alone.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    operands = left.split(",")
    if not arrow:  # then it has the axes that one operand alone has, in their alphabet's order
        letters = sorted({*left} - {*",."})
        right = _ELLIPSIS * (_ELLIPSIS in left) + "".join(a for a in letters if left.count(a) == 1)
    if len(operands) != len(ranks) or left.count(_ELLIPSIS) > 1:
        return None
    for term, rank in zip(operands, ranks, strict=True):
        if _ELLIPSIS in term:
            more = rank - len(term) + len(_ELLIPSIS)
            if not 0 <= more <= len(_SPARE):
                return None
            left, right = (one.replace(_ELLIPSIS, _SPARE[:more]) for one in (left, right))
    operands = left.split(",")
    if any(len(set(term)) < len(term) for term in (*operands, right)):
        return None
    if any(len(term) != rank for term, rank in zip(operands, ranks, strict=True)):
        return None
    return operands, right

"""Inverses, solutions and determinants of small matrices, for which ONNX has no operator.

Cameras, homographies and flows ask for them. They are written as Gauss-Jordan elimination with
partial pivoting (Golub and Van Loan, Matrix Computations, section 3.4), step by step: the largest
value of a column below is swapped up, divided by, and taken from all other rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perfsuite.errors import Unsupported

_LARGEST = 8  # rows; a homography of four points has as many, and each is some fifteen nodes


@dataclass(frozen=True)
class _Matrix:
    """A value of a graph, whose last two axes are rows and columns, and how many it has."""

    value: Any
    axes: int

    def transposed(self) -> _Matrix:
        from onnxscript import opset18 as op

        order = [*range(self.axes - 2), self.axes - 1, self.axes - 2]
        return _Matrix(op.Transpose(self.value, perm=order), self.axes)


def linear_algebra() -> dict[Any, Any]:
    """Return what writes operators for the dynamo exporter, by the operator of torch."""
    import torch

    aten = torch.ops.aten
    return {
        aten.inverse.default: _inverse,
        aten.linalg_inv.default: _inverse,
        aten.linalg_inv_ex.default: _inverse_and_success,
        aten.linalg_solve.default: _solved,
        aten._linalg_slogdet.default: _log_determinant,
        aten.det.default: _determinant,
        aten.linalg_det.default: _determinant,
        aten.logdet.default: _logarithm,
    }


def _inverse(self: Any) -> Any:
    from onnxscript import opset18 as op

    rows = _rows(self)
    unit = op.CastLike(op.EyeLike(op.ConstantOfShape(op.Constant(value_ints=[rows, rows]))), self)
    return _eliminated(_Matrix(self, len(self.shape)), _Matrix(unit, 2), rows)[0]


def _inverse_and_success(A: Any, check_errors: bool = False) -> Any:  # noqa: N803 - torch's name
    from onnxscript import opset18 as op

    return _inverse(A), op.Constant(value_int=0)


def _solved(A: Any, B: Any, left: bool = True) -> Any:  # noqa: N803
    """Write what solves A x = B, or x A = B; B has columns, or is one."""
    from onnxscript import opset18 as op

    last, rows = op.Constant(value_ints=[-1]), _rows(A)
    is_column = len(B.shape) == 1 or _same(B.shape, A.shape[:-1])
    right = _Matrix(op.Unsqueeze(B, last) if is_column else B, len(B.shape) + is_column)
    given = _Matrix(A, len(A.shape))
    if left:
        found = _eliminated(given, right, rows)[0]
        return op.Squeeze(found, last) if is_column else found
    found = _eliminated(given.transposed(), right.transposed(), rows)[0]
    return _Matrix(found, max(given.axes, right.axes)).transposed().value


def _log_determinant(A: Any) -> Any:  # noqa: N803
    """Write the determinant's sign and the logarithm of its size; what follows nobody reads."""
    from onnxscript import opset18 as op

    _, pivots, swaps = _eliminated(_Matrix(A, len(A.shape)), None, _rows(A))
    axis = op.Constant(value_ints=[-1])
    signs = op.Concat(*map(op.Sign, pivots), *swaps, axis=-1)
    sizes = op.Concat(*(op.Log(op.Abs(one)) for one in pivots), axis=-1)
    sign = op.ReduceProd(signs, axis, keepdims=0)
    # What is given back gets the shape of a factorization, which the matrix itself must not.
    return sign, op.ReduceSum(sizes, axis, keepdims=0), op.Identity(A), op.Identity(A)


def _determinant(A: Any) -> Any:  # noqa: N803
    """Write the determinant; that of a large matrix by ONNX's operator, which OpenVINO has not."""
    from onnxscript import opset18 as op

    rows = A.shape[-1]
    if not isinstance(rows, int) or rows > _LARGEST:
        return op.Det(A)
    _, pivots, swaps = _eliminated(_Matrix(A, len(A.shape)), None, rows)
    factors = op.Concat(*pivots, *swaps, axis=-1)
    return op.ReduceProd(factors, op.Constant(value_ints=[-1]), keepdims=0)


def _logarithm(self: Any) -> Any:
    from onnxscript import opset18 as op

    return op.Log(_determinant(self))


def _rows(matrix: Any) -> int:
    rows = matrix.shape[-1]
    if not isinstance(rows, int) or rows > _LARGEST:
        raise Unsupported(
            f"a matrix of {rows} rows is inverted, solved or has its determinant taken, and graphs "
            f"can that for {_LARGEST} rows at most"
        )
    return rows


def _eliminated(
    given: _Matrix, right: _Matrix | None, rows: int
) -> tuple[Any, list[Any], list[Any]]:
    """Write the elimination of a matrix; gives `right` after the same steps, pivots and signs.

    A sign is -1 where rows were swapped. Pivots and signs have one more axis, of length 1.
    """
    from onnxscript import opset18 as op

    one = op.CastLike(op.Constant(value_float=1.0), given.value)
    zero = op.CastLike(op.Constant(value_float=0.0), given.value)
    last, before = op.Constant(value_ints=[-1]), op.Constant(value_ints=[-2])
    both = given.value if right is None else op.Concat(*_alike(given, right), axis=-1)
    places = op.Constant(value_ints=list(range(rows)))
    pivots, signs = [], []
    for step in range(rows):
        here = op.Constant(value_ints=[step])
        column = op.Squeeze(_at(both, here, axis=-1), last)
        below = op.Less(places, here)
        sizes = op.Where(below, op.Neg(one), op.Abs(column))
        largest = op.ArgMax(sizes, axis=-1, keepdims=1)
        is_largest = op.Where(op.Equal(places, largest), one, zero)
        is_here = op.Where(op.Equal(places, here), one, zero)
        row = op.ReduceSum(op.Mul(op.Unsqueeze(is_largest, last), both), before, keepdims=1)
        swap = op.Unsqueeze(op.Sub(is_here, is_largest), last)
        both = op.Add(both, op.Mul(swap, op.Sub(row, _at(both, here, axis=-2))))
        pivot = _at(row, here, axis=-1)
        factors = op.Sub(_at(both, here, axis=-1), op.Unsqueeze(is_here, last))
        # A column of zeros has nothing to be taken from; what it inverts or solves is not finite.
        divisor = op.Where(op.Equal(pivot, zero), one, pivot) if right is None else pivot
        both = op.Sub(both, op.Mul(factors, op.Div(row, divisor)))
        pivots.append(op.Squeeze(pivot, last))
        signs.append(op.Where(op.Equal(largest, here), one, op.Neg(one)))
    end = op.Constant(value_ints=[2**62])
    return op.Slice(both, op.Constant(value_ints=[rows]), end, last), pivots, signs


def _alike(*matrices: _Matrix) -> list[Any]:
    """Return matrices with the same axes before the last two, as torch broadcasts them."""
    from onnxscript import opset18 as op

    ends = op.Constant(value_ints=[1, 1])
    values = [one.value for one in matrices]
    for one in matrices:
        if one.axes > 2:
            wide = op.Concat(op.Shape(one.value, end=-2), ends, axis=0)
            values = [op.Expand(value, wide) for value in values]
    return values


def _same(sides: Any, others: Any) -> bool:
    """Tell whether two shapes are one; of open sides there are several names."""
    if len(sides) != len(others):
        return False
    pairs = zip(sides, others, strict=True)
    return all(
        one == other if isinstance(one, int) else not isinstance(other, int) for one, other in pairs
    )


def _at(value: Any, place: Any, axis: int) -> Any:
    from onnxscript import opset18 as op

    return op.Gather(value, place, axis=axis)

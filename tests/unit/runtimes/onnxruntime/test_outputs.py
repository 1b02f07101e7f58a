"""Which outputs ONNX Runtime gives as arrays of numbers."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from perfsuite.errors import Unsupported
from perfsuite.runtimes.onnxruntime.outputs import are_plain, check_types


class Output(NamedTuple):
    name: str
    type: str


@pytest.mark.parametrize("kind", ["bfloat16", "float8e4m3fn", "int4", "uint4"])
def test_types_that_numpy_lacks(kind: str) -> None:
    with pytest.raises(Unsupported, match=f"output 'y' is of {kind}, a type that NumPy lacks"):
        check_types([Output("x", "tensor(int64)"), Output("y", f"tensor({kind})")])


def test_what_is_plain() -> None:
    numbers = [Output("x", "tensor(int64)"), Output("y", "tensor(float)")]
    check_types(numbers)
    assert are_plain(numbers)
    for kind in ("tensor(string)", "seq(tensor(float))", "optional(tensor(float))"):
        check_types([Output("z", kind)])
        assert not are_plain([*numbers, Output("z", kind)])
    with pytest.raises(Unsupported, match="output 'z' is a sparse tensor"):
        check_types([Output("z", "sparse_tensor(float)")])

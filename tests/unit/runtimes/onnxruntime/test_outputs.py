"""What ONNX Runtime gives, as arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from perfsuite.errors import Unsupported
from perfsuite.runtimes.onnxruntime.outputs import are_plain, arrays, check_types


class Output(NamedTuple):
    name: str
    type: str


def test_arrays_of_numbers_stay_what_they_are() -> None:
    one = np.ones((2, 3), np.float16)
    assert arrays([one])[0] is one


def test_sequences_have_their_values_after_each_other() -> None:
    (found,) = arrays([[np.ones((1, 2)), np.zeros((2, 2))]])
    assert found.tolist() == [1, 1, 0, 0, 0, 0]
    assert arrays([[]])[0].size == 0
    assert arrays([["b", "a"]])[0].tolist() == ["b", "a"]


def test_maps_are_rows_in_the_order_of_their_keys() -> None:
    maps = [{2: 0.3, 1: 0.7}, {1: 0.4, 2: 0.6}]
    assert arrays([maps])[0].tolist() == [[0.7, 0.3], [0.4, 0.6]]
    assert arrays([{"b": 1.0, "a": 2.0}])[0].tolist() == [2.0, 1.0]
    assert arrays([[{1: 0.5}, {2: 0.5, 3: 0.1}]])[0].tolist() == [0.5, 0.5, 0.1]


def test_texts_and_missing_values() -> None:
    (words, nothing) = arrays([np.array(["a", "bc"], object), None])
    assert (words.dtype.kind, words.tolist()) == ("U", ["a", "bc"])
    assert nothing.size == 0


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

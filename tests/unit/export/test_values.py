"""What ONNX Runtime gives, as arrays."""

from __future__ import annotations

import numpy as np

from perfsuite.export.values import arrays


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

"""Denormals are counted by their bits, in those types that processors are slow with."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.domain.record import EvidenceItem
from perfsuite.runtimes.shared import denormals as module
from perfsuite.runtimes.shared.denormals import Share, denormals, denormals_item


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_between_zero_and_the_smallest_normal_one(dtype: type) -> None:
    tiny = np.finfo(dtype).tiny
    below = np.nextafter(tiny, dtype(0))
    least = np.finfo(dtype).smallest_subnormal
    values = np.array([0.0, -0.0, tiny, -tiny, below, -below, least, -least, 1, np.inf, np.nan])
    assert denormals("a", values.astype(dtype)) == Share("a", 4, 11)


def test_bits_of_bfloat16_are_counted_too() -> None:
    bits = np.array([0, 0x8000, 0x0001, 0x807F, 0x0080, 0x3F80], np.uint16)
    assert denormals("a", bits.view(np.int16), "bfloat16") == Share("a", 2, 6)


def test_types_that_are_not_slow_with_them_are_not_counted() -> None:
    for dtype in (np.float16, np.int8, np.int64, bool):
        assert denormals("a", np.zeros(3, dtype)) == Share("a", 0, 0)


def test_neither_order_nor_size_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.full((3, 5), 1e-40, np.float32)
    values[:, 0] = 1.0
    assert denormals("a", values.T) == Share("a", 12, 15)
    monkeypatch.setattr(module, "_CHUNK", 4)
    assert denormals("a", values) == Share("a", 12, 15)
    assert denormals("a", np.float32(1e-40)[None].reshape(())) == Share("a", 1, 1)
    assert denormals("a", np.zeros((0, 3), np.float32)) == Share("a", 0, 0)


def test_the_item_names_where_most_of_them_are() -> None:
    shares = [Share("a", 1, 10), Share("b", 3, 4), Share("c", 0, 6)]
    assert denormals_item("weights", shares) == EvidenceItem(
        "observed", "denormals", "weights", "4 of 20 values; most in b: 3 of 4"
    )
    assert denormals_item("weights", shares[2:]).value == "0 of 6 values"
    assert denormals_item("weights", []).value == "0 of 0 values"

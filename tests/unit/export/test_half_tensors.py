"""Constants in 16 bits: by hand, what stands for infinity, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from perfsuite.errors import Unsupported
from perfsuite.export.half_tensors import Half, keeps_scales, rounded


def bits(values: object, precision: Half) -> list[int]:
    tensor = numpy_helper.from_array(np.array(values, np.float32), "w")
    made = rounded(tensor, precision, "w_half")
    kind = TensorProto.FLOAT16 if precision == "fp16" else TensorProto.BFLOAT16
    assert (made.name, made.data_type, list(made.dims)) == ("w_half", kind, list(tensor.dims))
    return [int(one) for one in np.frombuffer(made.raw_data, "<u2")]


def test_fp16_by_hand() -> None:
    assert bits([1.0, -2.0, 65504.0, 0.0, 1e-12], "fp16") == [0x3C00, 0xC000, 0x7BFF, 0, 0]


def test_bf16_rounds_to_the_nearest_and_ties_to_even() -> None:
    values = [1.0, -2.0, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-8 + 2.0**-20, 1e-12]
    assert bits(values, "bf16")[:5] == [0x3F80, 0xC000, 0x3F80, 0x3F82, 0x3F81]
    assert bits(values, "bf16")[5] == 0x2B8D


def test_what_stands_for_infinity_becomes_the_largest_value() -> None:
    lowest = float(np.finfo(np.float32).min)
    assert bits([lowest, -lowest, np.inf, -np.inf], "fp16") == [0xFBFF, 0x7BFF, 0x7C00, 0xFC00]
    assert bits([lowest, -lowest, np.inf, -np.inf], "bf16") == [0xFF7F, 0x7F7F, 0x7F80, 0xFF80]
    assert np.isnan(np.array(bits(np.nan, "fp16"), "<u2").view("<f2")).all()
    assert bits(np.nan, "bf16")[0] & 0x7FFF > 0x7F80


def test_a_single_number_does_not_become_zero() -> None:
    assert bits(1e-12, "fp16") == [1]
    assert bits([-1e-12], "fp16") == [0x8001]
    assert bits(0.0, "fp16") == [0]


def test_a_constant_beyond_fp16_is_told() -> None:
    with pytest.raises(Unsupported, match=r"'w' has 70000; ask for bf16"):
        bits([1.0, 70000.0, 1e6], "fp16")
    assert bits([70000.0], "bf16") == [0x4789]


def test_scales_of_channels_near_zero_do_not_fit_into_fp16() -> None:
    ones = numpy_helper.from_array(np.array([0.01, 2.0**-14], np.float32))
    tiny = numpy_helper.from_array(np.array([0.01, 1e-5], np.float32))
    assert keeps_scales(ones, "fp16")
    assert not keeps_scales(tiny, "fp16")
    assert keeps_scales(tiny, "bf16")

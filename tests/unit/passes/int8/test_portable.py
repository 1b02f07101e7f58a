"""The form of INT8 that is right on every x86 processor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from onnx import numpy_helper
from overflowing_net import net, pictures

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.export.overflow import fits_16_bits
from perfsuite.passes.int8.int8 import Int8, scheme_of
from perfsuite.passes.int8.qdq import Scheme


def context(target: Target) -> PassContext:
    def calibration(samples: int) -> Iterator[Inputs]:
        yield {"x": pictures(samples, 1)}

    def train() -> TrainingSet:
        raise AssertionError("INT8 does not train")

    def no_clock(candidates: object, cold_bytes: int = 0) -> tuple[float, ...]:
        raise AssertionError("int8 does not listen to the clock")

    return PassContext(
        inputs={},
        calibration=calibration,
        train=train,
        target=target,
        checkpoint=Path("unused"),
        progress=lambda done, total: None,
        latency_s=no_clock,
    )


@pytest.mark.parametrize("bits", [7, 8])
def test_a_portable_graph_has_weights_of_7_bits_whatever_the_processor(bits: Literal[7, 8]) -> None:
    wanted = QuantizedGraphs("uint8", sum_in_accumulator=True, weight_bits=bits)
    target = Target("mine", "cpu", quantized=wanted)
    assert scheme_of(target, portable=True) == Scheme(False, 63, True)
    assert Int8(portable=True).resolve(target) == (
        Int8().resolve(Target("mine", "cpu", quantized=QuantizedGraphs("uint8", True, 7)))
    )
    changed = Int8(8, portable=True).apply(net(), context(target))
    stored = [numpy_helper.to_array(one) for one in changed.graph.initializer]
    assert max(np.abs(one).max() for one in stored if one.dtype == np.int8) == 63
    assert fits_16_bits(changed) is True
    assert fits_16_bits(Int8(8).apply(net(), context(target))) is (bits == 7)


def test_products_of_signed_bytes_fit_as_they_are() -> None:
    """So an engine for cards gets all 8 bits, portable or not."""
    target = Target("mine", "cuda", quantized=QuantizedGraphs("int8", True))
    assert scheme_of(target, portable=True) == scheme_of(target) == Scheme(True, 127, True)

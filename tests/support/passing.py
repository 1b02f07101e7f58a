"""The surroundings of a graph pass in tests, without a runner."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from outlier_net import pictures

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.runtimes.shared.quantization import weight_bits

# As the runtimes say: what is made is answered here, where sums of 8 bits may overflow.
QUANTIZED = {
    "onnxruntime": QuantizedGraphs("uint8", weight_bits=weight_bits()),
    "openvino": QuantizedGraphs("uint8", weight_bits=weight_bits(), sum_in_accumulator=True),
}


def context(runtime: str, **more: Any) -> PassContext:
    """Return a context of the net in `outlier_net.py`, with `more` of its fields."""
    return PassContext(
        inputs={},
        calibration=more.pop("calibration", _calibration),
        train=_none,
        target=Target(runtime, "cpu", quantized=QUANTIZED[runtime]),
        checkpoint=more.pop("checkpoint", None) or _checkpoint(),
        progress=more.pop("progress", lambda done, total: None),
        latency_s=_no_clock,
        **more,
    )


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []  # removed with the process


def _checkpoint() -> Path:
    """Return a path that no other context has."""
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="perfsuite-"))
    return Path(_FOLDERS[-1].name) / "pass"


def _calibration(samples: int) -> Iterator[Inputs]:
    yield {"x": pictures(samples, seed=1)}


def _none() -> TrainingSet:
    raise AssertionError("INT8 does not train")


def _no_clock(candidates: object, cold_bytes: int = 0) -> tuple[float, ...]:
    raise AssertionError("INT8 does not listen to the clock")

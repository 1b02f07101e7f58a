"""onnxruntime's quantize_static: as its guide says, and with the settings that suit a net best."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.runtimes.shared.quantization import weight_bits

if TYPE_CHECKING:
    import onnx

_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_PER_CHANNEL = 13  # the first opset with scales along an axis
_AS_GOOD = 0.001  # in mean cosine
_TURNS, _CALLS = 7, 20  # of timing


class Setting(msgspec.Struct, frozen=True):
    """How ranges are found, what is quantized, and whether weights take 7 of their 8 bits."""

    method: str = "MinMax"
    layers_alone: bool = False
    reduced: bool = False

    def __str__(self) -> str:
        """Return the setting in words."""
        what = "layers alone" if self.layers_alone else "all operators"
        weights = "int8 weights in 7 bits" if self.reduced else "int8 weights"
        return f"{self.method}, {what}, uint8 activations, {weights} per channel"


def settings() -> tuple[Setting, ...]:
    """Return what is tried; weights in 7 bits where the processor's sums of 8 overflow."""
    return tuple(
        Setting(method, alone, reduced)
        for reduced in ((False, True) if weight_bits() == 7 else (False,))
        for method in ("MinMax", "Entropy", "Percentile")
        for alone in (False, True)
    )


def static(
    graph: onnx.ModelProto, samples: Iterable[Inputs], setting: Setting | None = None
) -> onnx.ModelProto:
    """Return the graph with ONNX Runtime's Q/DQ pairs, after its own preprocessing."""
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(samples)

        def get_next(self) -> Inputs | None:
            return next(self.batches, None)

    setting = setting or Setting()
    graph = newer(graph)
    # The preprocessing leaves files in the working folder when it fails.
    with tempfile.TemporaryDirectory(prefix="perfsuite-") as name, contextlib.chdir(name):
        plain, ready, made = (Path(name) / f"{one}.onnx" for one in ("plain", "ready", "made"))
        onnx.save(graph, plain)
        try:
            quant_pre_process(str(plain), str(ready))
        except Exception:  # noqa: BLE001 - its own inference of shapes fails on many graphs
            quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(made),
            Reader(),
            per_channel=opset(graph) >= _PER_CHANNEL,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=setting.reduced,
            calibrate_method=CalibrationMethod[setting.method],
            op_types_to_quantize=list(_LAYERS) if setting.layers_alone else None,
        )
        return onnx.load(made)


def newer(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph in an opset that has scales per channel, if onnx can convert it."""
    from onnx import version_converter

    if opset(graph) >= _PER_CHANNEL:
        return graph
    try:
        converted = version_converter.convert_version(graph, _PER_CHANNEL)
    except Exception:  # noqa: BLE001 - it raises what it likes; weights get one scale then
        return graph
    converted.ir_version = max(converted.ir_version, 7)
    return converted


def opset(graph: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators."""
    return next(one.version for one in graph.opset_import if one.domain in ("", "ai.onnx"))


def best_static(
    graph: onnx.ModelProto, samples: Sequence[Inputs], others: Sequence[Inputs]
) -> tuple[onnx.ModelProto, str]:
    """Return the fastest on ONNX Runtime of those about as exact as the most exact, and which.

    Ranges are those of `samples`; settings are compared on `others`, by the mean cosine to fp32.
    Raises the error of the first setting if all fail.
    """
    wanted = [answer for one in others for answer in _answers(graph, one)]
    made: dict[Setting, onnx.ModelProto] = {}
    failed: list[Exception] = []
    for setting in settings():
        try:
            made[setting] = static(graph, samples, setting)
        except Exception as error:  # noqa: BLE001 - others may do
            failed.append(error)
    if not made:
        raise failed[0]
    cosines = {
        setting: _cosine([answer for one in others for answer in _answers(model, one)], wanted)
        for setting, model in made.items()
    }
    good = [one for one in made if cosines[one] >= max(cosines.values()) - _AS_GOOD]
    one = {name: array[:1] for name, array in others[0].items()}
    times = dict(zip(good, _times_s([made[setting] for setting in good], one), strict=True))
    taken = min(good, key=lambda setting: times[setting])
    told = "; ".join(
        f"{setting}: cosine {cosines[setting]:.5f}"
        + (f", {times[setting] * 1e6:.0f} us" if setting in times else "")
        for setting in made
    )
    return made[taken], f"{taken} (of {told})"


def _session(graph: onnx.ModelProto) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _answers(graph: onnx.ModelProto, inputs: Inputs) -> Outputs:
    return list(_session(graph).run(None, inputs))


def _cosine(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """Return the mean over the samples of all answers."""
    cosines: list[float] = []
    for ours, theirs in zip(found, wanted, strict=True):
        a, b = (one.reshape(len(one), -1).astype(np.float64) for one in (ours, theirs))
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        products = (a * b).sum(axis=1)
        cosines += list(np.divide(products, lengths, out=np.zeros_like(lengths), where=lengths > 0))
    return float(np.mean(cosines))


def _times_s(graphs: Sequence[onnx.ModelProto], inputs: Inputs) -> list[float]:
    """Return the lower quartile of the seconds of a call of each; they take turns."""
    sessions = [_session(graph) for graph in graphs]
    times: list[list[float]] = [[] for _ in sessions]
    for _ in range(_TURNS):
        for session, found in zip(sessions, times, strict=True):
            session.run(None, inputs)
            for _ in range(_CALLS):
                started_s = time.perf_counter()
                session.run(None, inputs)
                found.append(time.perf_counter() - started_s)
    return [float(np.quantile(found, 0.25)) for found in times]

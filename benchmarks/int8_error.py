"""How far INT8 by perfsuite, quantize_static and NNCF is from fp32, on small nets of odd kinds.

    pip install nncf
    python benchmarks/int8_error.py [--noise] [--weight-bits 7] [KIND ...]

Prints a Markdown table of 1 minus the mean cosine between the answers of the quantized net and of
the float one, in thousandths, on ONNX Runtime and on OpenVINO: smaller is better. With 7 bits for
weights, perfsuite's graphs are those that processors without VNNI get.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from int8_nets import KINDS, exported, samples
from quantizers import Nncf, OnnxRuntimeStatic

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.passes.int8.int8 import Int8

SAMPLES, TESTS, BATCH = 64, 128, 8
ASKED = 16  # samples at a time
QUANTIZERS = ("perfsuite", "static", "nncf")
ENGINES = {"onnxruntime": False, "openvino": True}  # whether a shortcut is added in 32 bits


def context(data: np.ndarray, quantized: QuantizedGraphs | None, batch: int) -> PassContext:
    """Return what a pass is told, with calibration samples in batches."""

    def calibration(count: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, min(count, len(data)), batch):
            yield {"x": data[start : start + batch]}

    def refuse(*_: Any) -> Any:
        raise AssertionError("nothing is trained or timed here")

    target = Target("", "cpu", quantized=quantized)
    return PassContext(
        {"x": data[:1]}, calibration, refuse, target, Path("none"), lambda *_: None, refuse
    )


def on_onnxruntime(model: onnx.ModelProto, data: np.ndarray) -> list[np.ndarray]:
    """Return ONNX Runtime's answers."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {"x": data}))


def on_openvino(model: onnx.ModelProto, data: np.ndarray) -> list[np.ndarray]:
    """Return OpenVINO's answers, in float where nothing is quantized.

    What perfsuite keeps away from faults of that engine it does here for all quantizers, and the
    engine is asked a few samples at a time: from 64 on it answers 8-bit attention otherwise.
    """
    import openvino

    from perfsuite.runtimes.openvino.kept_right import keep_right
    from perfsuite.runtimes.openvino.single_rows import with_slices

    with tempfile.TemporaryDirectory(prefix="perfsuite-") as name:
        path = Path(name) / "model.onnx"
        onnx.save(with_slices(model), path)
        core = openvino.Core()
        read = core.read_model(path)
        batch = min(ASKED, len(data))
        read.reshape({"x": [batch, *data.shape[1:]]})  # else a GRU is wrong
        keep_right(read)
        compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        answers = [
            [np.array(one) for one in compiled({"x": part}).values()]
            for part in np.split(data, len(data) // batch)
        ]
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]


ANSWER: dict[str, Callable[[onnx.ModelProto, np.ndarray], list[np.ndarray]]] = {
    "onnxruntime": on_onnxruntime,
    "openvino": on_openvino,
}


def error(model: onnx.ModelProto, engine: str, data: np.ndarray, wanted: list[np.ndarray]) -> float:
    """Return 1 minus the mean cosine over samples and outputs."""
    cosines = []
    for ours, theirs in zip(ANSWER[engine](model, data), wanted, strict=True):
        a, b = (one.reshape(len(data), -1).astype(np.float64) for one in (ours, theirs))
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cosines.append(
            np.divide((a * b).sum(axis=1), norms, out=np.zeros_like(norms), where=norms > 0)
        )
    return float(1 - np.mean(cosines))


def errors(kind: str, weight_bits: int, noise: bool) -> dict[tuple[str, str], float]:
    """Return the error of each quantizer on each engine; NaN where one fails."""
    graph, shape = exported(kind, noise=noise), KINDS[kind][1]
    data, tests = (samples(shape, n, n, noise=noise) for n in (SAMPLES, TESTS))
    wanted = on_onnxruntime(graph, tests)
    found: dict[tuple[str, str], float] = {}
    for engine, sums in ENGINES.items():
        quantized = QuantizedGraphs("uint8", sum_in_accumulator=sums, weight_bits=weight_bits)
        found["perfsuite", engine] = _tried(
            lambda q=quantized: Int8(SAMPLES).apply(graph, context(data, q, BATCH)),
            lambda model, e=engine: error(model, e, tests, wanted),
        )
    for name, one in (("static", OnnxRuntimeStatic), ("nncf", Nncf)):
        made: list[onnx.ModelProto] = []

        def make(one: Any = one, made: list[onnx.ModelProto] = made) -> onnx.ModelProto:
            made.append(made[0] if made else one(SAMPLES).apply(graph, context(data, None, 1)))
            return made[0]

        for engine in ENGINES:
            found[name, engine] = _tried(
                make, lambda model, e=engine: error(model, e, tests, wanted)
            )
    return found


def _tried(make: Callable[[], onnx.ModelProto], judge: Callable[[onnx.ModelProto], float]) -> float:
    try:
        return judge(make())
    except Exception as cause:  # noqa: BLE001 - a quantizer that fails is a result
        print(f"{type(cause).__name__}: {str(cause)[:200]}", file=sys.stderr)
        return float("nan")


def header() -> str:
    """Return the head of the table."""
    names = " | ".join(f"{engine}: {name}" for engine in ENGINES for name in QUANTIZERS)
    rule = "| --- |" + " ---: |" * (len(ENGINES) * len(QUANTIZERS) + 1)
    return f"|  | {names} | behind the better by |\n{rule}"


def line(name: str, found: Mapping[tuple[str, str], float]) -> str:
    """Return the line of a net, in thousandths."""
    cells = [f"{found[one, engine] * 1e3:.3f}" for engine in ENGINES for one in QUANTIZERS]
    return f"| {name} | {' | '.join(cells)} | {behind(found) * 1e3:.3f} |"


def behind(found: Mapping[tuple[str, str], float]) -> float:
    """Return how far perfsuite is behind the better of all, on the engine where it is further."""
    return max(
        float(found["perfsuite", engine] - np.nanmin([found[one, engine] for one in QUANTIZERS]))
        for engine in ENGINES
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--weight-bits", type=int, default=8, choices=(7, 8))
    parser.add_argument("--noise", action="store_true", help="samples that are all alike")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    print(header())
    for kind in asked.kinds:
        print(line(kind, errors(kind, asked.weight_bits, asked.noise)), flush=True)


if __name__ == "__main__":
    main()

"""What OpenVINO, as perfsuite uses it, answers to a graph of one input `x`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.runtimes.openvino.runtime import OpenVino, OpenVinoSession


def answer_of(graph: onnx.ModelProto, x: np.ndarray, folder: Path) -> np.ndarray:
    """Return the first answer to `x`, whose first side is open in the artifact that is built."""
    with opened(graph, x, folder) as session:
        return session.run({"x": x})[0]


def opened(graph: onnx.ModelProto, x: np.ndarray, folder: Path) -> OpenVinoSession:
    """Return a session for calls with `x`, to look into, of an artifact as that of `answer_of`."""
    path, made = folder / "model.onnx", folder / "made"
    onnx.save(graph, path)
    made.mkdir()
    specs = (InputSpec("x", "float32", ("batch", *x.shape[1:])),)
    names = tuple(value.name for value in graph.graph.output)
    manifest = Manifest("openvino", "cpu", "fp32", 1, specs, names, False, False)
    OpenVino().build(Variant(path, None, False), manifest, made)
    return OpenVino().open(made, manifest, SessionOptions(len(x), 1, inspect=True))


def wanted_of(graph: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """Return what ONNX Runtime answers without optimizations."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(graph.SerializeToString(), options)
    wanted: np.ndarray = session.run(None, {"x": x})[0]
    return wanted

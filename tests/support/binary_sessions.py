"""Models on perfsuite-binary, and on ONNX Runtime by the function of the operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import Unavailable
from perfsuite.runtimes.binary.runtime import PerfsuiteBinary


def manifest_of(model: Any) -> Manifest:
    """Return the manifest of a model whose input is x and whose output is y."""
    known = model.graph.input[0].type.tensor_type.shape.dim[1:]
    sides = tuple(side.dim_value or side.dim_param for side in known)
    spec = (InputSpec("x", "float32", ("batch", *sides)),)
    return Manifest("perfsuite-binary", "cpu", "fp32", 1, spec, ("y",), True, False)


def built(model: Any, folder: Path) -> Manifest:
    """Build a model's artifact into a folder; skip where the engine is not installed."""
    runtime, manifest = PerfsuiteBinary(), manifest_of(model)
    try:
        runtime.probe()
    except Unavailable as missing:
        pytest.skip(str(missing))
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder.parent / "net.onnx")
    runtime.build(Variant(folder.parent / "net.onnx", None, False), manifest, folder)
    return manifest


@contextmanager
def opened(model: Any, batch: int = 1, threads: int = 1) -> Iterator[Any]:
    """Return an open session of a model."""
    with TemporaryDirectory() as name:
        manifest = built(model, Path(name) / "artifact")
        options = SessionOptions(batch, threads, inspect=True)
        with PerfsuiteBinary().open(Path(name) / "artifact", manifest, options) as session:
            yield session


def answers(model: Any, x: np.ndarray, threads: int = 1) -> np.ndarray:
    """Return what perfsuite-binary answers."""
    with opened(model, len(x), threads) as session:
        (found,) = session.run({"x": x})
        return found


def expected(model: Any, x: np.ndarray) -> np.ndarray:
    """Return what ONNX Runtime answers by the operator's function."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings)
    return session.run(None, {"x": x})[0]


def pictures(model: Any, batch: int, seed: int = 0) -> np.ndarray:
    """Return drawn inputs of a model."""
    sides = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    return np.random.default_rng(seed).normal(size=(batch, *sides)).astype(np.float32)

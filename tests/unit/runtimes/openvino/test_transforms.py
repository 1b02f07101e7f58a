"""Fourier transforms are answered as NumPy computes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fuzzed_checks import check_breakdown
from inside_branches import inside_branch
from on_openvino import answer_of, opened
from onnx import TensorProto, helper, numpy_helper

from perfsuite.errors import Unsupported

pytest.importorskip("openvino")

RNG = np.random.default_rng(0)
WINDOW = np.hanning(8).astype(np.float32)


def transform(
    kind: str, shape: tuple[int, ...], inputs: str, opset: int = 20, **given: Any
) -> onnx.ModelProto:
    """Return a transform of `x`, whose inputs are named in order, "-" for one that is left out."""
    attributes = {name: value for name, value in given.items() if isinstance(value, int)}
    held = {name: value for name, value in given.items() if name not in attributes}
    names = ["" if name == "-" else name for name in inputs.split()]
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["y"], "node", **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape[1:]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", opset)])


def parts(values: np.ndarray) -> np.ndarray:
    """Return complex numbers as ONNX has them."""
    return np.stack([values.real, values.imag], -1)


def number(value: int) -> np.ndarray:
    return np.array(value, np.int64)


REAL = RNG.normal(size=(2, 5, 8, 1)).astype(np.float32)
PAIRS = RNG.normal(size=(2, 5, 8, 2)).astype(np.float32)
COMPLEX = PAIRS[..., 0] + 1j * PAIRS[..., 1]
CASES: dict[str, tuple[np.ndarray, str, dict[str, Any], np.ndarray]] = {
    "real": (REAL, "x - a", {"a": number(1)}, parts(np.fft.fft(REAL[..., 0], axis=1))),
    "last by default": (PAIRS, "x", {}, parts(np.fft.fft(COMPLEX, axis=2))),
    "axis of old": (PAIRS, "x", {"axis": 2, "opset": 17}, parts(np.fft.fft(COMPLEX, axis=2))),
    "first of old": (PAIRS, "x", {"opset": 17}, parts(np.fft.fft(COMPLEX, axis=1))),
    "from behind": (PAIRS, "x - a", {"a": number(-3)}, parts(np.fft.fft(COMPLEX, axis=1))),
    "longer": (
        PAIRS, "x n a", {"n": number(11), "a": number(2)}, parts(np.fft.fft(COMPLEX, 11, axis=2)),
    ),
    "half": (
        REAL, "x n a", {"n": number(6), "a": number(2), "onesided": 1},
        parts(np.fft.rfft(REAL[..., 0], 6, axis=2)),
    ),
    "half of old": (
        REAL, "x", {"axis": 2, "onesided": 1, "opset": 17},
        parts(np.fft.rfft(REAL[..., 0], axis=2)),
    ),
    "inverse": (
        PAIRS, "x - a", {"a": number(1), "inverse": 1}, parts(np.fft.ifft(COMPLEX, axis=1)),
    ),
    "inverse of half": (
        PAIRS, "x n a", {"n": number(9), "a": number(1), "inverse": 1, "onesided": 1},
        np.fft.irfft(COMPLEX, 9, axis=1)[..., None],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_spectra(name: str, tmp_path: Path) -> None:
    x, inputs, given, wanted = CASES[name]
    found = answer_of(transform("DFT", x.shape, inputs, **given), x, tmp_path)
    np.testing.assert_allclose(found, wanted, atol=3e-5)


def test_one_after_the_other_is_a_layer_each_in_breakdowns(tmp_path: Path) -> None:
    graph = transform("DFT", REAL.shape, "x - a", a=number(1))
    graph.graph.node.append(helper.make_node("DFT", ["y"], ["z"], "other"))
    graph.graph.output[0].name = "z"
    with opened(graph, REAL, tmp_path) as session:
        wanted = parts(np.fft.fft2(REAL[..., 0]))
        np.testing.assert_allclose(session.run({"x": REAL})[0], wanted, atol=1e-4)
        check_breakdown(session.profile([{"x": REAL}], 2), graph, {"x": REAL})


def test_in_branches_too(tmp_path: Path) -> None:
    x, inputs, given, wanted = CASES["real"]
    graph = inside_branch(transform("DFT", x.shape, inputs, **given))
    np.testing.assert_allclose(answer_of(graph, x, tmp_path), wanted, atol=3e-5)


SIGNAL = RNG.normal(size=(2, 20, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("inputs", "window"),
    [("x s w n", WINDOW), ("x s w", WINDOW), ("x s - n", np.ones(8, np.float32))],
)
def test_spectra_of_frames(inputs: str, window: np.ndarray, tmp_path: Path) -> None:
    held = {"s": number(4), "w": WINDOW, "n": number(8)}
    graph = transform("STFT", SIGNAL.shape, inputs, **held)
    frames = np.stack([SIGNAL[:, at : at + 8, 0] * window for at in range(0, 13, 4)], 1)
    found = answer_of(graph, SIGNAL, tmp_path)
    np.testing.assert_allclose(found, parts(np.fft.rfft(frames)), atol=3e-5)


def test_a_whole_spectrum_of_frames_is_refused_with_a_way_out(tmp_path: Path) -> None:
    graph = transform("STFT", SIGNAL.shape, "x s w", s=number(4), w=WINDOW, onesided=0)
    with pytest.raises(Unsupported, match=r"node 'node' is an STFT .* take onesided=True"):
        answer_of(graph, SIGNAL, tmp_path)

"""ONNX Runtime, and MLAS inside of it: its kernels for the processor."""

from __future__ import annotations

from perfsuite.libraries.library import Library

_BINDING = "onnxruntime_pybind11_state."
_RUNTIME = ("ONNX Runtime", "onnxruntime")

ONNX_RUNTIME = Library(
    "ONNX Runtime",
    r"onnxruntime_pybind11_state\.|libonnxruntime\.",
    module="onnxruntime",
)
# It has no file of its own, and says nothing of itself.
MLAS = Library(
    "MLAS",
    r"libmlas\.",
    inside={_BINDING: _RUNTIME, "libonnxruntime.": _RUNTIME},
)

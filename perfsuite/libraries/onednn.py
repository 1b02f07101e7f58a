"""oneDNN: convolutions and products of PyTorch and of OpenVINO, compiled for the processor."""

from __future__ import annotations

from perfsuite.libraries.library import Library

ONEDNN = Library(
    "oneDNN",
    r"libdnnl\.|libmkldnn\.",
    build=r"MKL-DNN v(\S+)",
    inside={"libopenvino_intel_cpu_plugin.": ("OpenVINO's CPU plug-in", "openvino")},
)

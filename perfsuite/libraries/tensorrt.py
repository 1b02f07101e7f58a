"""TensorRT, which runs whole nets on NVIDIA's cards."""

from __future__ import annotations

from perfsuite.libraries.library import Library

TENSORRT = Library("TensorRT", r"libnvinfer\.|libtensorrt_rtx\.", module="tensorrt")

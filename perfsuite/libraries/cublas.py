"""cuBLAS: NVIDIA's matrix products."""

from __future__ import annotations

from perfsuite.libraries.library import Library

# Any PyTorch built for CUDA maps it, which does not mean that it runs.
CUBLAS = Library("cuBLAS", r"libcublas(Lt)?\.", packages=("nvidia-cublas", "nvidia-cublas-cu12"))

"""cuDNN: NVIDIA's convolutions."""

from __future__ import annotations

from perfsuite.libraries.library import Library

# Any PyTorch built for CUDA maps it, which does not mean that it runs.
CUDNN = Library("cuDNN", r"libcudnn\.", packages=("nvidia-cudnn-cu13", "nvidia-cudnn-cu12"))

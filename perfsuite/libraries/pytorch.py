"""PyTorch's own kernels (ATen), compiled for several instruction sets."""

from __future__ import annotations

from perfsuite.libraries.library import Library

PYTORCH = Library(
    "PyTorch", r"libtorch_cpu\.", module="torch", level=r"CPU capability usage: (\S+)"
)

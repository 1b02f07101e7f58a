"""OpenBLAS and BLIS: the matrix products of NumPy, and of a PyTorch without MKL."""

from __future__ import annotations

from perfsuite.libraries.library import Library

OPENBLAS = Library("OpenBLAS", r"lib\w*openblas", pools="openblas")
BLIS = Library("BLIS", r"libblis(-mt)?[.-]", pools="blis")

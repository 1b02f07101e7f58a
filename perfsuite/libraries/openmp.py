"""OpenMP runtimes: the threads of PyTorch, oneDNN and MKL."""

from __future__ import annotations

from perfsuite.libraries.library import Library

# GNU's, LLVM's and Intel's: two different ones in a process compete for the cores.
OPENMP = Library("OpenMP", r"lib(gomp|omp|iomp5)[-.]", pools="openmp")

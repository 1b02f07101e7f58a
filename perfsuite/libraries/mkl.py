"""MKL: Intel's matrix products, which PyTorch's wheels for x86 contain."""

from __future__ import annotations

from perfsuite.libraries.library import Library

MKL = Library(
    "MKL",
    r"libmkl_(rt|core)\.",
    build=r"Math Kernel Library Version (\S+)",
    pools="mkl",
    # One file for each kind of processor, of which it loads the one that it takes.
    file_level=r"libmkl_(avx512|avx2|avx|mc3?|def)\.",
)

"""What the names of CUDA kernels tell: the precision of their products, and whose they are.

NVIDIA documents none of these names. The rules follow from those seen: kernels of cuDNN and cuBLAS
are called by the types that they multiply and add in (`sm80_xmma_fprop_implicit_gemm_tf32f32_...`,
`cutlass_80_tensorop_s1688fprop_...`, `ampere_bf16_s16816gemm_...`, `nvjet_hsh_...`), and others
have C++ types among their template's arguments.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from perfsuite.domain.record import EvidenceItem

_RULES = (
    ("tf32", re.compile(r"tf32")),
    ("bf16", re.compile(r"bf16|bfloat|nvjet_(sm\d+_)?t[a-z]t")),
    ("fp16", re.compile(r"(?<!b)f16|fp16|half|h884|h1688|hgemm|nvjet_(sm\d+_)?h[a-z]h")),
)
# Tensor cores have no IEEE single precision: if they are given float32, they round it to TF32. The
# numbers are shapes of their instructions.
_TENSOR_CORES = re.compile(r"tensorop|nvjet|wgmma|gmma|16816|1688|_xmma_(?!.*f32f32_f32f32_f32)")
_PRODUCTS = re.compile(r"gemm|gemv|nvjet|cutlass|dot_kernel|splitk", re.IGNORECASE)
_CUDNN = re.compile(r"cudnn|fprop|dgrad|wgrad|convolve|winograd|implicit_gemm", re.IGNORECASE)
# PyTorch's own kernels, some of which are made of CUTLASS, too.
_PYTORCH = re.compile(r"::native|pytorch_flash|PyTorchMemEff|fmha_")
_LAYOUT = re.compile(r"nchwToNhwc|nhwcToNchw|nchwToFold|transpose_readWrite", re.IGNORECASE)
_MOVES = ("Memset", "Memcpy")

_ORDER = ("tf32", "bf16", "fp16")  # which precision of several kernels is the operator's
SHOWN = 3


class Launched(NamedTuple):
    """An operator that ran on the card: its own data type, and the kernels that it launched.

    `path` is that of the module whose code called it, "" where that is not known.
    """

    operator: str
    dtype: str
    kernels: tuple[str, ...]
    path: str = ""


def precision_of(name: str, dtype: str) -> str:
    """Return the precision that a kernel multiplies in: by its name, else the operator's `dtype`.

    `dtype` is that of the operator's first input, in torch's word for it, such as `float`.
    """
    lower = name.lower()
    for precision, pattern in _RULES:
        if pattern.search(lower):
            return precision
    if dtype == "float" and _TENSOR_CORES.search(lower):
        return "tf32"
    return dtype


def operator_precision(launched: Launched) -> str:
    """Return the lowest precision among an operator's kernels: the others move its data about.

    Only a kernel that computes products can lower it: converting from float32 names both types.
    """
    found = {
        precision_of(name, launched.dtype)
        for name in launched.kernels
        if _PRODUCTS.search(name) or _CUDNN.search(name)
    }
    return next((one for one in _ORDER if one in found), launched.dtype)


def library_of(launched: Launched, kernel: str, engine: str = "PyTorch") -> str:
    """Return whose kernel it is: `cuDNN`, `cuBLAS` or the engine's own."""
    if launched.operator.lstrip("_").startswith("cudnn_") or "cudnn" in kernel.lower():
        return "cuDNN"
    if _PYTORCH.search(kernel):
        return engine
    if _CUDNN.search(kernel):
        return "cuDNN"
    return "cuBLAS" if _PRODUCTS.search(kernel) else engine


def main_kernel(launched: Launched) -> str:
    """Return the kernel of an operator that computes its products; '' of one that only moves data.

    The others change layouts before and after it, or add a bias.
    """
    ran = [name for name in launched.kernels if not name.startswith(_MOVES)]
    products = [
        name
        for name in ran
        if (_PRODUCTS.search(name) or _CUDNN.search(name)) and not _LAYOUT.search(name)
    ]
    return next(iter(products or ran[-1:]), "")


def by_library(launched: Iterable[Launched], engine: str = "PyTorch") -> dict[str, Counter[str]]:
    """Return how often each kernel ran, by the library that it is of."""
    found: dict[str, Counter[str]] = {}
    for one in launched:
        for kernel in one.kernels:
            if kernel.startswith(_MOVES):
                continue
            found.setdefault(library_of(one, kernel, engine), Counter())[short(kernel)] += 1
    return found


def kernel_items(launched: Sequence[Launched], engine: str = "PyTorch") -> tuple[EvidenceItem, ...]:
    """Return for each library how many kernels of it ran, and which ones most often.

    Beside them stands how many only change the layout of pictures.
    """
    items = []
    for library, names in sorted(by_library(launched, engine).items()):
        often = ", ".join(f"{name} ({times})" for name, times in names.most_common(SHOWN))
        rest = len(names) - SHOWN
        more = f" and {rest} more" if rest > 0 else ""
        text = f"{names.total()} kernels: {often}{more}"
        items.append(EvidenceItem("observed", "kernels", library, text))
    every = [name for one in launched for name in one.kernels]
    if every:
        text = f"{sum(bool(_LAYOUT.search(name)) for name in every)} in a call"
        items.append(EvidenceItem("observed", "layout", "reorders", text))
    return tuple(items)


def short(kernel: str) -> str:
    """Return a kernel's name without template arguments and return type."""
    name = re.sub(r"^(void|std::enable_if<.*?>::type)\s+", "", kernel)
    return name.partition("<")[0].partition("(")[0].strip()

"""Constants of a graph in 16 bits: fp16 (IEEE binary16) or bf16 (the upper half of a float32)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from perfsuite.errors import Unsupported

if TYPE_CHECKING:
    import onnx

Half = Literal["fp16", "bf16"]

_LARGEST_FP16 = 65504.0
_LEAST_FP16 = 2.0**-24
_LEAST_NORMAL_FP16 = 2.0**-14  # below which it has fewer digits
_MEANT_INFINITE = 1e30  # masks hold the lowest float for minus infinity


def half_type(precision: Half) -> int:
    """Return ONNX's number of the type."""
    from onnx import TensorProto

    return int(TensorProto.FLOAT16 if precision == "fp16" else TensorProto.BFLOAT16)


def rounded(tensor: onnx.TensorProto, precision: Half, name: str) -> onnx.TensorProto:
    """Return a float32 tensor, rounded to the nearest values of 16 bits, under `name`.

    What stands for infinity, such as the lowest float in a mask, becomes the largest finite value
    of its sign. A single number that is not zero does not become zero, as it may be divided by.
    Raises `Unsupported` for other values that fp16 cannot hold.
    """
    from onnx import TensorProto, numpy_helper

    values = np.ascontiguousarray(numpy_helper.to_array(tensor), np.float32)
    raw = _fp16(values, tensor.name) if precision == "fp16" else _bf16(values)
    return TensorProto(
        name=name, data_type=half_type(precision), dims=list(tensor.dims), raw_data=raw.tobytes()
    )


def keeps_scales(tensor: onnx.TensorProto, precision: Half) -> bool:
    """Tell whether all scales of a Q/DQ pair keep their digits in 16 bits.

    Channels with weights near zero have scales that are denormal in fp16, or zero.
    """
    from onnx import numpy_helper

    if precision != "fp16":
        return True
    scales = np.abs(numpy_helper.to_array(tensor))
    return bool(np.all((scales >= _LEAST_NORMAL_FP16) & (scales <= _LARGEST_FP16)))


def _fp16(values: np.ndarray, name: str) -> np.ndarray:
    finite = np.isfinite(values)
    large = finite & (np.abs(values) > _LARGEST_FP16)
    if np.any(large & (np.abs(values) < _MEANT_INFINITE)):
        raise Unsupported(
            f"fp16 holds numbers up to {_LARGEST_FP16:.0f}, and the constant '{name}' has "
            f"{float(np.abs(values[large]).min()):g}; ask for bf16, or scale the model's values"
        )
    clipped = np.where(large, np.copysign(np.float32(_LARGEST_FP16), values), values)
    if values.size == 1 and values.any() and np.abs(values).max() < _LEAST_FP16:
        clipped = np.copysign(np.full_like(values, _LEAST_FP16), values)
    return np.asarray(clipped, np.float32).astype("<f2")


def _bf16(values: np.ndarray) -> np.ndarray:
    bits = values.view(np.uint32).astype(np.uint64)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16  # ties to even
    largest = ((bits >> 16) & 0x8000) | 0x7F7F
    nearest = np.where(np.isfinite(values) & ((nearest & 0x7FFF) == 0x7F80), largest, nearest)
    quiet = (bits >> 16) | 0x40
    return np.where(np.isnan(values), quiet, nearest).astype("<u2")

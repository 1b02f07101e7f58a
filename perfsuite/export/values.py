"""What ONNX Runtime gives, as arrays: also sequences, maps, texts and optional values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from perfsuite.domain.task import Outputs


def arrays(outputs: Sequence[Any]) -> Outputs:
    """Return one array for each output.

    Of a sequence of tensors it has all values after each other. A sequence of maps, as ZipMap gives
    it, is an array (samples, keys) in the order of the sorted keys: the tensor that it was made of,
    where the keys are classes. A map is one such row, and a missing optional value an empty array.
    """
    return [_array(output) for output in outputs]


def _array(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value.astype(str) if value.dtype == object else value
    if value is None:
        return np.zeros(0, np.float32)
    if isinstance(value, dict):
        return np.asarray([value[key] for key in sorted(value)])
    if isinstance(value, list | tuple):
        if value and all(isinstance(one, dict) for one in value):
            return _rows(value)
        parts = [np.ravel(_array(one)) for one in value]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return np.asarray(value)


def _rows(maps: Sequence[dict[Any, Any]]) -> np.ndarray:
    """Return (samples, keys); one after the other, where the maps have different keys."""
    rows = [_array(one) for one in maps]
    same = all(one.keys() == maps[0].keys() for one in maps)
    return np.stack(rows) if same else np.concatenate(rows)

"""The samples file of an ONNX workload: read, and compared with what the model takes."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from perfsuite.domain.model import InputSpec
from perfsuite.errors import ConfigError

LABELS = "labels"
LEAST = 4  # samples: two to calibrate, two to test


def read_samples(path: Path, spec: tuple[InputSpec, ...]) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file, by input and `labels`, in a seeded random order.

    Raises `ConfigError`, naming the array, if the file cannot be read or does not fit.
    """
    arrays = _arrays(path, [*(item.name for item in spec), LABELS])
    labels = arrays[LABELS]
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or (len(labels) and labels.min() < 0):
        raise ConfigError(
            f"{path}: array '{LABELS}' is {labels.dtype} {labels.shape}, but labels are integers "
            "from 0, one a sample: (samples,)" + _advice(labels)
        )
    for item in spec:
        _check_fits(path, item, arrays[item.name])
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or lengths[LABELS] < LEAST:
        raise ConfigError(
            f"{path}: arrays must be equally long, and at least {LEAST}; they are {lengths}"
        )
    order = np.random.default_rng(0).permutation(lengths[LABELS])
    return {name: array[order] for name, array in arrays.items()}


def written(shape: tuple[int | str, ...]) -> str:
    """Return a shape as text, names without quotes: `(batch, 3, 8, 8)`."""
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _arrays(path: Path, wanted: list[str]) -> dict[str, np.ndarray]:
    advice = f"write it with numpy.savez(file, {', '.join(f'{name}=...' for name in wanted)})"
    try:
        if not zipfile.is_zipfile(path):
            path.open("rb").close()  # its error says why, if it cannot be opened
            raise ConfigError(f"{path}: not a readable .npz file; {advice}")
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in wanted if name not in file.files]
            if missing:
                raise ConfigError(
                    f"{path}: no array named {', '.join(missing)}; it has "
                    f"{', '.join(file.files) or 'none'}"
                )
            return {name: _array(path, file, name) for name in wanted}
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigError(f"{path}: not a readable .npz file ({error}); {advice}") from error


def _array(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    try:
        array = file[name]
    except ValueError as error:
        raise ConfigError(
            f"{path}: array '{name}' is damaged, or holds Python objects, which are never read; "
            "write it as plain numbers"
        ) from error
    if not isinstance(array, np.ndarray):
        raise ConfigError(f"{path}: '{name}' is no NumPy array")
    return array


def _check_fits(path: Path, item: InputSpec, array: np.ndarray) -> None:
    """Raise `ConfigError` unless the samples in `array` have the type and shape of the input."""
    fits = array.ndim == len(item.shape) > 0 and all(
        isinstance(side, str) or side == found
        for side, found in zip(item.shape[1:], array.shape[1:], strict=True)
    )
    if fits and array.dtype == np.dtype(item.dtype):
        return
    raise ConfigError(
        f"{path}: array '{item.name}' is {array.dtype} {array.shape}, but the model takes "
        f"{item.dtype} {written(item.shape)}; convert the array"
    )


def _advice(labels: np.ndarray) -> str:
    if labels.ndim == 2 and labels.shape[1] > 1:
        return "; of one-hot labels take labels.argmax(axis=1)"
    if labels.ndim == 2:
        return "; take labels[:, 0]"
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        return f"; there is {labels.min()}"
    return ""

"""Edits on disk, as JSON and safetensors, without pickle.

Those that come with perfsuite have their tensors in half precision, and a card that says how they
were made.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from perfsuite.domain.recipe import Edits
from perfsuite.errors import ConfigError, SchemaError
from perfsuite.workloads.zoo.weights import check_whole

EDITS, TENSORS, HALVES = "edits.json", "edits.safetensors", "edits.half.safetensors"


def write_edits(folder: Path, edits: Edits) -> None:
    """Write edits as JSON and safetensors."""
    from safetensors.numpy import save_file

    (folder / EDITS).write_bytes(msgspec.json.encode(edits.data))
    # Not `ascontiguousarray`, which gives a scalar an axis: a net's counters would not load again.
    save_file({k: np.asarray(v, order="C") for k, v in edits.tensors.items()}, folder / TENSORS)


def write_halved(folder: Path, edits: Edits) -> Path:
    """Write edits as they ship, their float32 tensors as float16; return the file of tensors.

    Raises `ConfigError` for a tensor with values that do not fit into half precision.
    """
    from safetensors.numpy import save_file

    with np.errstate(over="ignore"):
        halved = {
            name: np.asarray(value, np.float16 if value.dtype == np.float32 else None, order="C")
            for name, value in edits.tensors.items()
        }
    for name, value in halved.items():
        if value.dtype == np.float16 and not np.isfinite(value).all():
            raise ConfigError(f"{folder}: {name} does not fit into half precision")
    (folder / EDITS).write_bytes(msgspec.json.encode(edits.data))
    save_file(halved, folder / HALVES)
    return folder / HALVES


def read_edits(folder: Path) -> Edits:
    """Return the edits in `folder`, floats as float32 if they are those that come with perfsuite.

    Raises `SchemaError` if they are torn or missing, `ConfigError` if they came with perfsuite and
    are not as their card says.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        data = msgspec.json.decode((folder / EDITS).read_bytes(), type=dict[str, Any])
        if (folder / HALVES).is_file():
            check_whole(folder / HALVES)
            return Edits(data, _as_float32(load_file(folder / HALVES)))
        return Edits(data, load_file(folder / TENSORS))
    except (OSError, msgspec.DecodeError, SafetensorError) as error:
        raise SchemaError(
            f"{folder}: what a pass found out is torn ({error}); delete this folder to have it "
            f"made anew"
        ) from error


def _as_float32(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name: value.astype(np.float32) if value.dtype == np.float16 else value
        for name, value in tensors.items()
    }

"""Edits on disk, as JSON and safetensors, without pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from perfsuite.domain.recipe import Edits
from perfsuite.errors import SchemaError

EDITS, TENSORS = "edits.json", "edits.safetensors"


def write_edits(folder: Path, edits: Edits) -> None:
    """Write edits as JSON and safetensors."""
    from safetensors.numpy import save_file

    (folder / EDITS).write_bytes(msgspec.json.encode(edits.data))
    # Not `ascontiguousarray`, which gives a scalar an axis: a net's counters would not load again.
    save_file({k: np.asarray(v, order="C") for k, v in edits.tensors.items()}, folder / TENSORS)


def read_edits(folder: Path) -> Edits:
    """Return the edits in `folder`; raise `SchemaError` if they are torn or missing."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        data = msgspec.json.decode((folder / EDITS).read_bytes(), type=dict[str, Any])
        return Edits(data, load_file(folder / TENSORS))
    except (OSError, msgspec.DecodeError, SafetensorError) as error:
        raise SchemaError(
            f"{folder}: what a pass found out is torn ({error}); delete this folder to have it "
            f"made anew"
        ) from error

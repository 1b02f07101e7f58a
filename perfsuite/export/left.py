"""What a pass on a graph left as it was, kept in the graph's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import onnx

_LEFT = "perfsuite.left"


def mark_left(model: onnx.ModelProto, left: Mapping[str, str]) -> None:
    """Write the reasons why layers were left, by layer, into `model`, if there are any."""
    if left:
        model.metadata_props.add(key=_LEFT, value=msgspec.json.encode(dict(left)).decode())


def left_in_file(graph: Path | None) -> dict[str, str]:
    """Return the reasons that `mark_left` wrote into a file; empty if it wrote none."""
    from perfsuite.export.onnx import load_graph

    return {} if graph is None else left_in(load_graph(graph))


def left_in(model: onnx.ModelProto) -> dict[str, str]:
    """Return the reasons that `mark_left` wrote; empty if it wrote none."""
    found: dict[str, str] = {}
    for entry in model.metadata_props:
        if entry.key == _LEFT:
            found |= msgspec.json.decode(entry.value, type=dict[str, str])
    return found

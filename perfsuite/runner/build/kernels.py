"""Kernels of a kind of their own, which binary convolutions need: who has them, who has not."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from perfsuite.domain.record import BINARY_MACS, SIMULATED
from perfsuite.domain.runtime import Runtime
from perfsuite.export.binary_operator import DOMAIN
from perfsuite.export.own_precision import BINARY
from perfsuite.runner.build.export import GRAPH
from perfsuite.store.cache import Cache, key_of
from perfsuite.user_code import require_type, user_code


def needed(passes: Iterable[Any]) -> frozenset[str]:
    """Return the kinds of kernels that what some passes make needs to be fast."""
    return frozenset(kind for one in passes for kind in getattr(one, "kernels", ()))


def has_binary(runtime: Runtime) -> bool:
    """Tell whether an engine says that it has kernels for binary convolutions."""
    whose = f"{runtime.name}: its kernels"
    with user_code(whose):
        found = getattr(runtime, "kernels", ())
    return BINARY in require_type(found, tuple, whose, "a tuple of texts")


def labels(is_binary: bool, simulates: bool) -> tuple[str, ...]:
    """Return what is told of a cell with binary convolutions; nothing of others."""
    if simulates:
        return (SIMULATED,)
    return (BINARY_MACS,) if is_binary else ()


def calls_binary(path: Path) -> bool:
    """Tell whether the graph in an ONNX file may have binary convolutions."""
    import onnx

    model = onnx.load(path, format="protobuf", load_external_data=False)
    return any(one.domain == DOMAIN for one in model.opset_import)


def expanded(path: Path, key: str, cache: Cache) -> tuple[Path, str]:
    """Return the graph with binary convolutions in plain operators, and its key."""
    key = key_of(key, "plain operators")
    folder, _ = cache.build("graph", key, partial(_expand, path))
    return folder / GRAPH, key


def _expand(path: Path, folder: Path) -> None:
    import onnx

    from perfsuite.export.functions import inlined
    from perfsuite.export.onnx import load_graph

    onnx.save(inlined(load_graph(path)), folder / GRAPH)

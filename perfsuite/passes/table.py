"""The passes that come with perfsuite, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _int8() -> type[Any]:
    """Return post-training INT8 with explicit Q/DQ pairs, for ONNX engines."""
    from perfsuite.passes.int8.int8 import Int8

    return Int8


def _prune() -> type[Any]:
    """Return structured pruning by times measured on the engine, for torch modules."""
    from perfsuite.passes.prune.prune import Prune

    return Prune


def _lowrank() -> type[Any]:
    """Return low-rank factorization of the layers that are faster for it, for torch modules."""
    from perfsuite.passes.lowrank.lowrank import Lowrank

    return Lowrank


def _distill() -> type[Any]:
    """Return knowledge distillation into a smaller net, for torch modules."""
    from perfsuite.passes.distill.distill import Distill

    return Distill


def _binarize() -> type[Any]:
    """Return binary weights and activations, trained in two steps, for torch modules."""
    from perfsuite.passes.binarize.binarize import Binarize

    return Binarize


def _proposals() -> type[Any]:
    """Return fewer boxes to choose from, before and after NMS, for torch detectors."""
    from perfsuite.passes.proposals.proposals import Proposals

    return Proposals


PASSES: dict[str, Callable[[], type[Any]]] = {
    "binarize": _binarize,
    "distill": _distill,
    "int8": _int8,
    "lowrank": _lowrank,
    "proposals": _proposals,
    "prune": _prune,
}

"""The fields with which the passes of the table are tried: small ones, that take little time."""

from __future__ import annotations

from typing import Any

from perfsuite.config.checking import make_pass
from perfsuite.domain.recipe import PassUse
from perfsuite.passes.table import PASSES

FIELDS: dict[str, dict[str, Any]] = {
    "binarize": {"untrained": True},
    # Training is tried with nets that are made for it: these take seconds a step.
    "distill": {"student": "shufflenet-x0.5", "untrained": True},
    "lowrank": {"energy": 0.7},
    "prune": {"macs": 0.7, "importance": "l2"},
}


def small_pass(name: str) -> Any:
    """Return the pass of the table with the fields above, or else without any."""
    return make_pass(PassUse(name, FIELDS.get(name, {})))


MODEL_PASSES = sorted(name for name in PASSES if hasattr(PASSES[name](), "fit"))
GRAPH_PASSES = sorted(name for name in PASSES if hasattr(PASSES[name](), "apply"))

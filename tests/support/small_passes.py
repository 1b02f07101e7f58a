"""The fields with which the passes of the table are tried: small ones, that take little time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perfsuite.config.checking import make_pass
from perfsuite.domain.model import Model
from perfsuite.domain.recipe import PassUse
from perfsuite.domain.workload import Workload
from perfsuite.passes.table import PASSES
from perfsuite.testing.samples import small_workload

FIELDS: dict[str, dict[str, Any]] = {
    "binarize": {"untrained": True},
    # Training is tried with nets that are made for it: these take seconds a step.
    "distill": {"student": "shufflenet-x0.5", "untrained": True},
    "lowrank": {"energy": 0.7},
    "proposals": {"pre_nms": 20},
    "prune": {"macs": 0.7, "importance": "l2"},
}


def small_workload_of(name: str) -> Workload | None:
    """Return a small net that the pass is for, or None: the contract's own is for most."""
    if name != "proposals":
        return None
    return replace(small_workload(), model=Model(_best_of_many))


def _best_of_many() -> Any:
    """Return a net that looks at the best 50 scores of a picture, as detectors do."""
    from torch import nn

    class Best(nn.Module):
        topk_candidates = 50

        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Conv2d(3, 1, 1, bias=False)
            nn.init.constant_(self.scores.weight, 0.5)

        def forward(self, images: Any) -> Any:
            best = self.scores(images).flatten(1).topk(self.topk_candidates).values
            return best.mean(1, keepdim=True)

    return Best()


def small_pass(name: str) -> Any:
    """Return the pass of the table with the fields above, or else without any."""
    return make_pass(PassUse(name, FIELDS.get(name, {})))


MODEL_PASSES = sorted(name for name in PASSES if hasattr(PASSES[name](), "fit"))
GRAPH_PASSES = sorted(name for name in PASSES if hasattr(PASSES[name](), "apply"))

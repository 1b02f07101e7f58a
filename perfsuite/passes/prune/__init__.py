"""Structured pruning; begin at `prune.py`."""

from perfsuite.passes.prune.prune import Prune

__all__ = ["Prune"]

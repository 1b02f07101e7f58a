"""Fewer boxes for a detector to choose from; begin at `proposals.py`."""

from perfsuite.passes.proposals.proposals import Proposals

__all__ = ["Proposals"]

"""Fewer boxes for a detector to choose from; begin at `proposals.py`."""

from perfsuite.passes.proposals.proposals import Proposals, boxes_before_nms

__all__ = ["Proposals", "boxes_before_nms"]

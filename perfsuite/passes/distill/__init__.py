"""Knowledge distillation; begin at `distill.py`."""

from perfsuite.passes.distill.distill import Distill

__all__ = ["Distill"]

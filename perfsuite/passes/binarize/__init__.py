"""Binary weights and activations; begin at `binarize.py`."""

from perfsuite.passes.binarize.binarize import Binarize

__all__ = ["Binarize"]

"""Layers as products of smaller ones; begin at `lowrank.py`."""

from perfsuite.passes.lowrank.lowrank import Lowrank

__all__ = ["Lowrank"]

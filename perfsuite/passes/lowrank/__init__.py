"""Layers as products of smaller ones; begin at `lowrank.py`."""

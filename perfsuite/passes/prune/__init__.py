"""Structured pruning; begin at `prune.py`."""

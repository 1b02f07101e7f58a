"""Eager PyTorch; begin at `runtime.py`."""

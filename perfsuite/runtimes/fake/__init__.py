"""A scripted engine, for tests; begin at `runtime.py`."""

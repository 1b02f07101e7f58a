"""Post-training quantization to 8 bits; begin at `int8.py`."""

from perfsuite.passes.int8.int8 import Int8

__all__ = ["Int8"]

"""Post-training quantization to 8 bits; begin at `int8.py`."""

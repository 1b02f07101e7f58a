"""TensorRT, and TensorRT for RTX; begin at `runtime.py`."""

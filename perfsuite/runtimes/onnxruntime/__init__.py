"""ONNX Runtime; begin at `runtime.py`."""

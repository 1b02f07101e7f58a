"""OpenVINO; begin at `runtime.py`."""

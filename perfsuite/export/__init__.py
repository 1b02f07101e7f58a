"""Torch to ONNX and back: graphs, names, parity."""

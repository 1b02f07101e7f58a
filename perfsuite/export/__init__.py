"""Torch modules to ONNX graphs; graphs' nodes back to modules; whether both answer alike."""

"""An ONNX file as a workload."""

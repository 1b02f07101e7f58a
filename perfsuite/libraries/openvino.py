"""OpenVINO; its plug-in for the processor is loaded only when it compiles a model."""

from __future__ import annotations

from perfsuite.libraries.library import Library

OPENVINO = Library("OpenVINO", r"libopenvino(_intel_cpu_plugin)?\.", module="openvino")

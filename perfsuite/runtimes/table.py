"""The runtimes that come with perfsuite, by name."""

from __future__ import annotations

from collections.abc import Callable

from perfsuite.domain.runtime import Runtime
from perfsuite.runtimes.binary.runtime import PerfsuiteBinary
from perfsuite.runtimes.fake.runtime import Fake
from perfsuite.runtimes.onnxruntime.cuda import OnnxRuntimeCuda
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime
from perfsuite.runtimes.openvino.runtime import OpenVino
from perfsuite.runtimes.pytorch.cuda_graphs import PyTorchCudaGraphs
from perfsuite.runtimes.pytorch.runtime import PyTorch, PyTorchChannelsLast
from perfsuite.runtimes.tensorrt.runtime import TensorRt, TensorRtRtx
from perfsuite.runtimes.torch_compile.runtime import TorchCompile

RUNTIMES: dict[str, Callable[[], Runtime]] = {
    "pytorch": PyTorch,
    "pytorch-channels-last": PyTorchChannelsLast,
    "pytorch-cuda-graphs": PyTorchCudaGraphs,
    "torch-compile": TorchCompile,
    "onnxruntime": OnnxRuntime,
    "onnxruntime-cuda": OnnxRuntimeCuda,
    "openvino": OpenVino,
    "tensorrt": TensorRt,
    "tensorrt-rtx": TensorRtRtx,
    "perfsuite-binary": PerfsuiteBinary,
    "fake": Fake,
}

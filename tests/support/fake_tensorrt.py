"""TensorRT as a script, and the memory of a card in that of this process: what a session calls.

The engine adds a number to its input `x` and gives it as `y`; in `layers` stands what its inspector
tells, and its profiler reports each of them.
"""

from __future__ import annotations

import ctypes
import json
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
from fake_cuda import FakeCuda


class Card(FakeCuda):
    """A card whose memory is that of this process."""

    def __init__(self, **answers: Any) -> None:
        self.held: dict[int, Any] = {}
        super().__init__(**answers)

    def answer(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "cuMemAlloc_v2":
            block = (ctypes.c_char * arguments[1].value)()
            self.held[ctypes.addressof(block)] = block
            arguments[0]._obj.value = ctypes.addressof(block)
        elif name == "cuMemFree_v2":
            del self.held[arguments[0].value]
        elif name in ("cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2"):
            ctypes.memmove(arguments[0].value, arguments[1].value, arguments[2].value)
        else:
            super().answer(name, arguments)


class Mode(Enum):
    INPUT = 1
    OUTPUT = 2


class DataType(Enum):
    FLOAT = 1
    BF16 = 2


LAYERS = [
    {
        "Name": "conv + relu",
        "LayerType": "CaskConvolution",
        "Inputs": [{"Name": "x", "Format/Datatype": "Half"}],
        "Outputs": [{"Name": "a", "Format/Datatype": "Half"}],
        "TacticName": "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc",
        "Metadata": "[ONNX Layer: conv]\x1e[ONNX Layer: relu]",
    },
    {
        "Name": "y copy",
        "LayerType": "Reformat",
        "Inputs": [{"Name": "a", "Format/Datatype": "Half"}],
        "Outputs": [{"Name": "y", "Format/Datatype": "Float"}],
        "Metadata": "",
    },
]


class FakeContext:
    """An execution context on addresses of this process's memory."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.profiler: Any = None
        self.shape: tuple[int, ...] = ()
        self.addresses: dict[str, int] = {}
        self.memory: list[int] = []
        self.profiles: list[int] = []
        self.allocator: Any = None

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = shape
        return True

    def set_optimization_profile_async(self, number: int, stream: Any) -> bool:
        self.profiles.append(number)
        return True

    def update_device_memory_size_for_shapes(self) -> int:
        return 1024

    def set_device_memory(self, address: int, size: int) -> None:
        self.memory.append(address)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, *self.shape[1:]) if self.engine.open_result else self.shape

    def set_output_allocator(self, name: str, allocator: Any) -> bool:
        self.allocator = allocator
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: Any) -> bool:
        if self.engine.failing:
            self.engine.logger.log(Severity.ERROR, self.engine.failing)
            return False
        count = int(np.prod(self.shape))
        given = (ctypes.c_float * count).from_address(self.addresses["x"])
        answer = np.array(given, np.float32) + self.engine.adds
        target = self.addresses.get("y")
        if self.allocator is not None:
            target = self.allocator.reallocate_output_async("y", 0, answer.nbytes, 256, 0)
            if not target:
                return False
            self.allocator.notify_shape("y", self.shape)
        ctypes.memmove(target, answer.ctypes.data, answer.nbytes)
        if self.profiler is not None:
            for layer in self.engine.layers:
                self.profiler.report_layer_time(layer["Name"], 1e-6)
        return True


class FakeEngine:
    """An engine with one input and one output."""

    def __init__(self, *, open_result: bool = False, failing: str = "") -> None:
        self.open_result, self.failing, self.adds = open_result, failing, 1.0
        self.layers: list[dict[str, Any]] = LAYERS
        self.contexts: list[FakeContext] = []
        self.logger: Any = None
        self.num_io_tensors = 2
        self.dtype = DataType.FLOAT

    def get_tensor_name(self, index: int) -> str:
        return ("x", "y")[index]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name == "x" else Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return self.dtype

    def create_execution_context(self, *_: Any) -> FakeContext:
        self.contexts.append(FakeContext(self))
        return self.contexts[-1]

    def create_engine_inspector(self) -> Any:
        told = json.dumps({"Layers": self.layers})

        def information(form: int) -> str:
            assert found.execution_context.shape, "without shapes there are no types"
            return told

        found = SimpleNamespace(get_engine_information=information)
        return found


class Severity(Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3


class Logger:
    Severity = Severity


class Plain:
    """What the library has as a base of callbacks."""


def fake_module(engine: FakeEngine | None, said: str = "") -> Any:
    """Return the library, whose runtime reads `engine` or, without one, says why it does not."""

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, content: bytes) -> FakeEngine | None:
            if engine is None:
                self.logger.log(Severity.ERROR, said)
                return None
            engine.logger = self.logger
            return engine

    return SimpleNamespace(
        __version__="10.9.0",
        ILogger=Logger,
        Runtime=Runtime,
        IProfiler=Plain,
        IOutputAllocator=Plain,
        TensorIOMode=Mode,
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED=2),
        LayerInformationFormat=SimpleNamespace(JSON=1),
    )

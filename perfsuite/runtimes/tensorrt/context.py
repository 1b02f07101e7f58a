"""An execution context of an engine, with memory on the card and a stream of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from perfsuite.errors import BuildError
from perfsuite.runtimes.shared.base import trimmed
from perfsuite.runtimes.shared.cuda_driver import Driver, Stream
from perfsuite.runtimes.tensorrt.library import Messages
from perfsuite.runtimes.tensorrt.memory import Buffer
from perfsuite.runtimes.tensorrt.shapes import Profile, Shape, fitting

# NumPy's types for the engine's.
_TYPES = {
    "FLOAT": "float32", "HALF": "float16", "INT64": "int64", "INT32": "int32", "INT8": "int8",
    "UINT8": "uint8", "BOOL": "bool",
}  # fmt: skip

Bound = dict[str, tuple[Buffer, Shape]]


class Context:
    """Calls an engine; `make` creates its execution context.

    Memory for values inside is taken for the shapes of a call, not for the largest that are
    possible. What a call gives the next one overwrites.
    """

    def __init__(
        self,
        trt: Any,
        engine: Any,
        make: Callable[[], Any],
        profiles: Sequence[Profile],
        driver: Driver,
        messages: Messages,
    ) -> None:
        self._trt, self._driver, self._messages = trt, driver, messages
        self._profiles = profiles
        self._profile = -1 if profiles else 0  # an engine may let a second context begin with none
        self.stream = Stream(driver)
        self._context: Any = make()
        if self._context is None:
            raise self._failed("no execution context can be made")
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        is_input = trt.TensorIOMode.INPUT
        self._inputs = [name for name in names if engine.get_tensor_mode(name) == is_input]
        self._outputs = [name for name in names if name not in self._inputs]
        self._types = {name: _type(engine.get_tensor_dtype(name)) for name in names}
        self._shapes: dict[str, Shape] = {}
        self._own: Bound = {}  # room for inputs from the host
        self._given: dict[str, np.ndarray] = {}  # what is copied there, until the next call
        self._memory: Buffer | None = None
        self._results: Bound = {}
        self._allocators: dict[str, Any] = {}

    @property
    def execution(self) -> Any:
        """Return the engine's own object."""
        return self._context

    def set_profiler(self, profiler: Any) -> None:
        """Have the times of layers reported to `profiler` after each call."""
        self._context.profiler = profiler

    def bound(self, given: Mapping[str, np.ndarray]) -> Bound:
        """Return inputs in memory of their own on the card; see `release`."""
        found = {name: self._filled(name, given[name], None) for name in self._inputs}
        self.stream.synchronize()
        return found

    def release(self, bound: Bound) -> None:
        """Give the memory of `bound` back."""
        for buffer, _ in bound.values():
            buffer.free()

    def run(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of one call as arrays on the host."""
        for name in self._inputs:
            self._own[name] = self._filled(name, given[name], self._own.get(name))
        self.start(self._own)
        arrays = {}
        for name in self._outputs:
            if (allocator := self._allocators.get(name)) is not None:
                self.stream.synchronize()  # the shape is known only then
                buffer, shape = allocator.found()
            else:
                buffer, shape = self._results[name]
            arrays[name] = np.empty(shape, self._types[name])
            buffer.read(arrays[name], self.stream)
        self.stream.synchronize()
        return arrays

    def start(self, bound: Bound) -> None:
        """Start a call with inputs that are on the card, behind what the stream has to do."""
        shapes = {name: shape for name, (_, shape) in bound.items()}
        if shapes != self._shapes:
            self._settle(shapes)
        for name, (buffer, _) in bound.items():
            self._set_address(name, buffer)
        if not self._context.execute_async_v3(self.stream.handle.value):
            for allocator in self._allocators.values():
                if allocator.error is not None:
                    raise allocator.error
            raise self._failed("a call failed")

    def close(self) -> None:
        """Give all memory back."""
        self._context = None
        memory = [self._memory] if self._memory is not None else []
        for buffer in (*memory, *(one for one, _ in (self._own | self._results).values())):
            buffer.free()
        for allocator in self._allocators.values():
            allocator.free()
        self._memory, self._own, self._results, self._allocators = None, {}, {}, {}

    def _filled(
        self, name: str, array: np.ndarray, before: tuple[Buffer, Shape] | None
    ) -> tuple[Buffer, Shape]:
        whole = np.ascontiguousarray(array, self._types[name])
        buffer = before[0] if before is not None else None
        if buffer is None or buffer.size < whole.nbytes:
            if buffer is not None:
                buffer.free()
            buffer = Buffer(self._driver, whole.nbytes)
        buffer.fill(whole, self.stream)
        self._given[name] = whole
        return buffer, array.shape

    def _settle(self, shapes: dict[str, Shape]) -> None:
        """Make room for a call with inputs of these shapes."""
        self._shapes = {}
        number = fitting(self._profiles, shapes) if self._profiles else 0
        if number is None:
            told = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            most = ", ".join(f"{n} {list(r.most)}" for n, r in self._profiles[-1].items())
            raise BuildError(
                f"the engine takes no inputs of these shapes ({told}), but up to {most}; let "
                f"inputs() give such sizes, for which the artifact is then built"
            )
        if number != self._profile:
            handle = self.stream.handle.value
            if not self._context.set_optimization_profile_async(number, handle):
                raise self._failed(f"optimization profile {number} cannot be chosen")
            self.stream.synchronize()
            self._profile = number
        for name, shape in shapes.items():
            if not self._context.set_input_shape(name, shape):
                raise self._failed(f"input '{name}' cannot have the shape {list(shape)}")
        self._allocate()
        self._shapes = shapes

    def _allocate(self) -> None:
        self.stream.synchronize()  # nothing may use what is freed
        size = int(self._context.update_device_memory_size_for_shapes())
        if self._memory is None or self._memory.size < size:
            if self._memory is not None:
                self._memory.free()
            self._memory = Buffer(self._driver, size)
        if (give := getattr(self._context, "set_device_memory", None)) is not None:
            give(self._memory.address, self._memory.size)
        else:  # TensorRT 10.0
            self._context.device_memory = self._memory.address
        self.release(self._results)
        self._results = {}
        for name in self._outputs:
            shape = tuple(int(side) for side in self._context.get_tensor_shape(name))
            if any(side < 0 for side in shape):  # values decide it
                if name not in self._allocators:
                    self._allocators[name] = allocator_of(self._trt, self._driver)
                self._context.set_output_allocator(name, self._allocators[name])
                continue
            size = math.prod(shape) * np.dtype(self._types[name]).itemsize
            self._results[name] = Buffer(self._driver, size), shape
            self._set_address(name, self._results[name][0])

    def _set_address(self, name: str, buffer: Buffer) -> None:
        if not self._context.set_tensor_address(name, buffer.address):
            raise self._failed(f"tensor '{name}' cannot be bound")

    def _failed(self, what: str) -> BuildError:
        said = self._messages.errors
        return BuildError(f"{what}: {trimmed(said) or 'the engine does not say why'}")


def _type(told: Any) -> str:
    """Return NumPy's type for one of the engine's."""
    name = str(told).rpartition(".")[2]
    if name not in _TYPES:
        raise BuildError(f"the engine has an input or output of {name}, a type that NumPy lacks")
    return _TYPES[name]


def allocator_of(trt: Any, driver: Driver) -> Any:
    """Return what gives memory to an output whose shape is known after a call alone."""

    class Allocator(trt.IOutputAllocator):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IOutputAllocator.__init__(self)
            self.buffer: Buffer | None = None
            self.shape: Shape = ()
            self.error: BuildError | None = None

        def reallocate_output_async(
            self, tensor_name: str, memory: int, size: int, alignment: int, stream: int
        ) -> int:
            if self.buffer is None or self.buffer.size < size:
                self.free()
                try:
                    self.buffer = Buffer(driver, size)
                except BuildError as error:  # which the engine's own code would not bear
                    self.error = error
                    return 0
            return self.buffer.address

        def reallocate_output(
            self, tensor_name: str, memory: int, size: int, alignment: int
        ) -> int:
            return self.reallocate_output_async(tensor_name, memory, size, alignment, 0)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:
            self.shape = tuple(int(side) for side in shape)

        def found(self) -> tuple[Buffer, Shape]:
            """Return the memory of the last call's output, and its shape."""
            if self.buffer is None:
                self.buffer = Buffer(driver, 0)
            return self.buffer, self.shape

        def free(self) -> None:
            """Give the memory back."""
            if self.buffer is not None:
                self.buffer.free()
                self.buffer = None

    return Allocator()

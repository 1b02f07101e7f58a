"""The driver of an NVIDIA card as a script, in the place of libcuda."""

from __future__ import annotations

from typing import Any


class FakeCuda:
    """A driver with one card; `failing` maps a function of it to the result that it fails with."""

    def __init__(self, **answers: Any) -> None:
        self.failing: dict[str, int] = {}
        self.card = b"NVIDIA H200"
        self.memory_bytes = 150754820096
        self.attributes = {16: 132, 75: 9, 76: 0}
        self.cuda = 13000
        self.now_ms = 0.0
        self.marks: dict[int, float] = {}
        self.called: list[str] = []
        vars(self).update(answers)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cu"):
            raise AttributeError(name)

        def function(*arguments: Any) -> int:
            self.called.append(name)
            if name in self.failing:
                return self.failing[name]
            self.answer(name, arguments)
            return 0

        return function

    def answer(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Write what the function gives to where its first argument points."""
        if name == "cuDeviceGetName":
            arguments[0].value = self.card
        elif name == "cuDeviceTotalMem_v2":
            arguments[0]._obj.value = self.memory_bytes
        elif name == "cuDeviceGetAttribute":
            arguments[0]._obj.value = self.attributes[arguments[1]]
        elif name == "cuDriverGetVersion":
            arguments[0]._obj.value = self.cuda
        elif name == "cuGetErrorString":
            arguments[1]._obj.value = b"something odd"
        elif name in ("cuStreamCreate", "cuEventCreate", "cuDevicePrimaryCtxRetain"):
            arguments[0]._obj.value = len(self.called)
        elif name == "cuEventRecord":
            self.marks[arguments[0].value] = self.now_ms
        elif name == "cuEventElapsedTime":
            begin, end = (self.marks[one.value] for one in arguments[1:])
            arguments[0]._obj.value = end - begin

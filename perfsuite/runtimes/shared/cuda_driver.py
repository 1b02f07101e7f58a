"""An NVIDIA card as its driver tells of it, for engines that run there without torch.

The driver's own library is asked through ctypes, so that nothing needs to be installed for it. What
it says of a card is what torch says of it: cells of both stand in one run.
Source: CUDA Driver API (docs.nvidia.com/cuda/cuda-driver-api): initialization, devices, events.
"""

from __future__ import annotations

import ctypes
from typing import Any

from perfsuite.domain.device import DeviceIdentity
from perfsuite.errors import BuildError, Unavailable

CUDA = "cuda"
LIBRARY = "libcuda.so.1"

# Attributes of a device, and results of the driver's functions.
_MULTIPROCESSORS, _MAJOR, _MINOR = 16, 75, 76
_OUT_OF_MEMORY, _STUB, _UNAVAILABLE, _NO_DEVICE, _NOT_READY = 2, 34, 46, 100, 802
# The functions by which a process gets hold of a card: where they fail, the card is not to be had.
# Where another one fails, something has gone wrong on the card.
_BEGINNINGS = ("cuInit", "cuDevice", "cuDriver", "cuCtx")
_NON_BLOCKING = 1  # a stream that waits for no other, as CUDA's first one would
_FIRST_WITH_TF32 = 80
_MISMATCH = (803, 804)  # the driver in the kernel and its library are of different versions

NO_DRIVER = (
    "there is no NVIDIA driver: install the card's driver, so that `nvidia-smi` lists the card; in "
    "a container it must be passed on, as by `docker run --gpus all`"
)
NO_CARD = (
    "the driver finds no card that this process may use: `nvidia-smi` must list one, and "
    "CUDA_VISIBLE_DEVICES, if it is set, must name one"
)
MISMATCH = (
    "the driver in the kernel and its library are of different versions: restart the machine after "
    "an update of the driver; in a container, remove the image's own libcuda (package cuda-compat)"
)
STUB = (
    f"the {LIBRARY} that is loaded is the one to link programs with, not the driver's: take its "
    "folder (.../stubs) out of LD_LIBRARY_PATH"
)
NOT_READY = (
    "the cards of this machine are not ready, as those behind NVSwitch are until its service runs: "
    "sudo systemctl start nvidia-fabricmanager, of the driver's version (`nvidia-smi -q` tells the "
    "state of the fabric)"
)
IN_USE = (
    "the card lets no further process in (exclusive or prohibited compute mode); end the process "
    "that has it, or have it shared: nvidia-smi -c DEFAULT"
)

_TOLD = {
    _NO_DEVICE: NO_CARD,
    _UNAVAILABLE: IN_USE,
    _STUB: STUB,
    _NOT_READY: NOT_READY,
    **dict.fromkeys(_MISMATCH, MISMATCH),
}


class Driver:
    """The driver's library, started; `library` takes its place in tests.

    Raises `Unavailable`, with what to install or change, where there is no driver, no card, or one
    that lets no further process in.
    """

    def __init__(self, library: Any = None) -> None:
        self._library: Any = _loaded() if library is None else library
        self.call("cuInit", 0)
        self._device = ctypes.c_int()
        self.call("cuDeviceGet", ctypes.byref(self._device), 0)

    def version(self) -> tuple[int, int]:
        """Return the newest CUDA that the driver runs, such as (12, 8)."""
        found = ctypes.c_int()
        self.call("cuDriverGetVersion", ctypes.byref(found))
        return found.value // 1000, found.value % 1000 // 10

    def identity(self) -> DeviceIdentity:
        """Return which card it is that CUDA uses first."""
        name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
        self.call("cuDeviceGetName", name, len(name), self._device)
        self.call("cuDeviceTotalMem_v2", ctypes.byref(memory), self._device)
        return DeviceIdentity(
            CUDA,
            name.value.decode(errors="replace"),
            (f"sm_{self._attribute(_MAJOR)}{self._attribute(_MINOR)}",),
            {
                "memory": f"{memory.value / 2**30:.0f} GiB",
                "multiprocessors": str(self._attribute(_MULTIPROCESSORS)),
            },
        )

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver.

        Raises `Unavailable` where the card cannot be had, `BuildError` where it lacks memory or
        work on it fails.
        """
        result = getattr(self._library, name)(*arguments)
        if result == 0:
            return
        if result == _OUT_OF_MEMORY:
            raise BuildError(
                f"{CUDA}: the card has too little memory: take a smaller batch, or end what else "
                f"holds memory there ({name})"
            )
        if not name.startswith(_BEGINNINGS):
            raise BuildError(
                f"{CUDA}: {self._said(name, result)}; this process can use the card no longer. "
                f"CUDA_LAUNCH_BLOCKING=1 shows which kernel it is, compute-sanitizer why"
            )
        said = _TOLD.get(result) or (
            f"{self._said(name, result)}; `nvidia-smi` shows whether the driver works"
        )
        raise Unavailable(f"{CUDA}: {said}")

    def require(self, engine: str, cuda: tuple[int, int]) -> None:
        """Raise `Unavailable` unless the card lets this process in and runs CUDA of this version.

        `engine` is the one that needs it, in words.
        """
        known = self.version()
        if known < cuda:
            raise Unavailable(
                f"{CUDA}: {engine} needs CUDA {cuda[0]}.{cuda[1]}, and the driver is too old for "
                f"it: it runs CUDA {known[0]}.{known[1]} at most; install a newer driver"
            )
        context = ctypes.c_void_p()  # not made this thread's, as it ends here
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
        self.call("cuDevicePrimaryCtxRelease_v2", self._device)

    def entered(self) -> None:
        """Make the context that all libraries of CUDA share this thread's, and keep it."""
        context = ctypes.c_void_p()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self._device)
        self.call("cuCtxSetCurrent", context)

    def _attribute(self, number: int) -> int:
        found = ctypes.c_int()
        self.call("cuDeviceGetAttribute", ctypes.byref(found), number, self._device)
        return found.value

    def _said(self, name: str, result: int) -> str:
        text = ctypes.c_char_p()
        self._library.cuGetErrorString(result, ctypes.byref(text))
        words = (text.value or b"an unknown error").decode(errors="replace")
        return f"{name} says '{words}' (error {result})"


def require_precision(precision: str, capability: str) -> None:
    """Raise `Unavailable` for TF32 on cards before sm_80, which compute float32 instead.

    `capability` is that of the card, such as sm_75. Source: CUDA C++ Programming Guide, tensor core
    input data types by compute capability.
    """
    if precision == "tf32" and int(capability.removeprefix("sm_")) < _FIRST_WITH_TF32:
        raise Unavailable(
            f"{CUDA}: TF32 needs a card with sm_{_FIRST_WITH_TF32} or newer, and this one has "
            f"{capability}; ask for fp32, or for fp16"
        )


def _loaded() -> Any:
    """Return the driver's library; raise `Unavailable` where there is none.

    The error of the loader is no cause of that: the engine itself is whole and can be loaded.
    """
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        said = str(error)
    raise Unavailable(f"{CUDA}: {NO_DRIVER} ({said})")


class Stream:
    """A queue of work on the card, in the context that all libraries of CUDA share."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        driver.entered()
        self.handle = ctypes.c_void_p()
        driver.call("cuStreamCreate", ctypes.byref(self.handle), _NON_BLOCKING)

    def event(self) -> Event:
        """Return a mark that can be put into the queue."""
        return Event(self._driver, self)

    def synchronize(self) -> None:
        """Return once the card has worked off the queue."""
        self._driver.call("cuStreamSynchronize", self.handle)


class Event:
    """A mark in a stream, which the card passes at a time of its own clock."""

    def __init__(self, driver: Driver, stream: Stream) -> None:
        self._driver, self._stream = driver, stream
        self.handle = ctypes.c_void_p()
        driver.call("cuEventCreate", ctypes.byref(self.handle), 0)

    def record(self) -> None:
        """Put the mark at the end of the queue."""
        self._driver.call("cuEventRecord", self.handle, self._stream.handle)

    def synchronize(self) -> None:
        """Return once the card has passed it."""
        self._driver.call("cuEventSynchronize", self.handle)

    def elapsed_time(self, end_event: Event) -> float:
        """Return the milliseconds from this mark to another one."""
        found = ctypes.c_float()
        self._driver.call("cuEventElapsedTime", ctypes.byref(found), self.handle, end_event.handle)
        return found.value

"""Memory on the card, by the driver alone, and what is copied there and back."""

from __future__ import annotations

import ctypes
from contextlib import suppress

import numpy as np

from perfsuite.errors import BuildError
from perfsuite.runtimes.shared.cuda_driver import Driver, Stream


class Buffer:
    """Some bytes on the card: at least one, since an empty tensor needs an address, too."""

    def __init__(self, driver: Driver, size: int) -> None:
        self._driver, self.size = driver, max(size, 1)
        found = ctypes.c_uint64()
        driver.call("cuMemAlloc_v2", ctypes.byref(found), ctypes.c_size_t(self.size))
        self.address = int(found.value)

    def fill(self, array: np.ndarray, stream: Stream) -> None:
        """Copy an array that lies in one piece; it may be changed once this returns."""
        if array.nbytes:
            self._driver.call(
                "cuMemcpyHtoDAsync_v2",
                ctypes.c_uint64(self.address),
                ctypes.c_void_p(array.ctypes.data),
                ctypes.c_size_t(array.nbytes),
                stream.handle,
            )

    def read(self, array: np.ndarray, stream: Stream) -> None:
        """Have `array` filled; it is once the stream has been waited for."""
        if array.nbytes:
            self._driver.call(
                "cuMemcpyDtoHAsync_v2",
                ctypes.c_void_p(array.ctypes.data),
                ctypes.c_uint64(self.address),
                ctypes.c_size_t(array.nbytes),
                stream.handle,
            )

    def free(self) -> None:
        """Give the memory back; a second call does nothing.

        Where work on the card has failed, its memory is free once the process ends, not before.
        """
        address, self.address = self.address, 0
        if address:
            with suppress(BuildError):
                self._driver.call("cuMemFree_v2", ctypes.c_uint64(address))

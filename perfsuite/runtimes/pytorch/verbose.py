"""What oneDNN and MKL say of each call, caught where they print it.

Both write to the process's standard output, file descriptor 1, from C. While they do, it leads
into a file; what others write there meanwhile is passed on afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_OUT = 1
_MARK = "perfsuite mark "
_THEIRS = ("onednn_verbose,", "dnnl_verbose,", "MKL_VERBOSE ", _MARK)
# Where MKL writes instead, if the user has set it; then nobody hears it here.
_ELSEWHERE = "MKL_VERBOSE_OUTPUT_FILE"


class Heard(NamedTuple):
    """Lines in the order in which they were written, and which libraries can speak.

    `lines` holds pairs of the number of the mark that came before it (-1 before the first) and a
    line of oneDNN or MKL.
    """

    lines: list[tuple[int, str]]
    speaking: list[str]


@contextlib.contextmanager
def heard() -> Iterator[tuple[Heard, Callable[[int], None]]]:
    """Have oneDNN and MKL speak within the context; give what is heard, and a function that marks.

    The lines are there when the context has ended. The standard output is closed or cannot be
    led elsewhere: `OSError`.
    """
    found = Heard([], [])
    flush = _flush()
    flush()
    kept = os.dup(_OUT)
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), _OUT)
            try:
                with _speaking(found.speaking):
                    yield found, lambda number: _mark(flush, number)
            finally:
                flush()
                os.dup2(kept, _OUT)
                file.seek(0)
                _sort(file.read(), found)
    finally:
        os.close(kept)


def _sort(written: bytes, found: Heard) -> None:
    """Put the libraries' lines into `found`, and pass on the others."""
    mark = -1
    for raw in written.splitlines(keepends=True):
        line = raw.decode(errors="replace").rstrip("\n")
        if not line.startswith(_THEIRS):
            with contextlib.suppress(OSError):  # who reads it may have gone
                os.write(_OUT, raw)
        elif line.startswith(_MARK):
            mark = int(line.removeprefix(_MARK))
        else:
            found.lines.append((mark, line))


def _mark(flush: Callable[[], None], number: int) -> None:
    flush()
    os.write(_OUT, f"{_MARK}{number}\n".encode())


def _flush() -> Callable[[], None]:
    """Return a function that writes out what Python and C hold back."""
    library = ctypes.CDLL(None)

    def flush() -> None:
        with contextlib.suppress(AttributeError, ValueError, OSError):  # replaced, or closed
            sys.stdout.flush()
        library.fflush(None)

    return flush


@contextlib.contextmanager
def _speaking(names: list[str]) -> Iterator[None]:
    """Switch on what can speak, and add its name to `names`."""
    import torch

    backends: Any = torch.backends
    with contextlib.ExitStack() as stack:
        for name, backend in (("oneDNN", backends.mkldnn), ("MKL", backends.mkl)):
            if not backend.is_available() or (name == "MKL" and os.environ.get(_ELSEWHERE)):
                continue
            # A build without it asserts.
            with contextlib.suppress(AssertionError, AttributeError, RuntimeError):
                stack.enter_context(backend.verbose(backend.VERBOSE_ON))
                names.append(name)
        yield

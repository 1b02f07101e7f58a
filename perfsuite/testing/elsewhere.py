"""A process that knows only what was known before it was needed."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

Go = Callable[[], str]


@contextmanager
def elsewhere(work: Callable[[], None]) -> Iterator[Go]:
    """Yield a function that lets `work` be done in another process, and returns how it failed.

    The process is forked here and waits: nothing that this one does inside the context reaches it,
    but for files. A plug-in need not be importable under any name for that, nor its model be
    described in plain data. The function returns an empty text when all went well.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside other threads. The new process takes no lock of theirs:
        # it runs torch on one thread, as torch's own data loaders do.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = context.Process(target=_waiting, args=(ours, theirs, work), daemon=True)
        process.start()
    theirs.close()

    def go() -> str:
        ours.send("go")
        try:
            return str(ours.recv())
        except EOFError:
            process.join()
            return f"the process ended with exit code {process.exitcode}"

    try:
        yield go
    finally:
        ours.close()
        process.join()


def _waiting(ours: Connection, theirs: Connection, work: Callable[[], None]) -> None:
    ours.close()
    try:
        theirs.recv()
    except EOFError:
        return  # it is not needed after all
    try:
        work()
    except Exception as error:  # noqa: BLE001 - a pass may raise anything; it is told as it is
        theirs.send(f"{type(error).__name__}: {error}")
        return
    theirs.send("")

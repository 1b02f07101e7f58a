"""A second process that does not share what happens in this one."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

Go = Callable[[], str]


@contextmanager
def elsewhere(work: Callable[[], None]) -> Iterator[Go]:
    """Yield a function that does `work` in another process, and returns its error as text, or ''.

    The process is forked at the start of the context and waits, so that nothing which this process
    does in the context reaches it, except files. As it is forked, plug-ins need not be importable
    by name.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork in a process with threads. The new process runs torch on one
        # thread, as torch's data loaders do, and so waits for no lock of another thread.
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
        return  # the context ended without it
    try:
        work()
    except Exception as error:  # noqa: BLE001 - a pass may raise anything; it is told as it is
        theirs.send(f"{type(error).__name__}: {error}")
        return
    theirs.send("")

"""The fork server: a process that has imported what jobs need, and from which each is forked.

`python -m perfsuite.runner.fork_server SOCKET PARENT MODULE...` imports the modules, and runs
nothing of them: every job begins with the same clean process, in which no code of a user has run.
The server has one thread when it forks, because a lock that another thread holds would stay locked
in the job.
"""

from __future__ import annotations

import gc
import importlib
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from perfsuite.runner.forks import CELL, LONGEST, READY, REAP, REFUSED, Request
from perfsuite.runner.worker import die_with, work

TASKS = Path("/proc/self/task")  # proc(5): a folder for each thread
ENDS_WITHIN_S = 0.2  # a thread that was told to end


def serve(parent: socket.socket, modules: Sequence[str]) -> Path | None:
    """Return, in a process that was forked for a job, the folder of that job.

    In the server itself, None once the parent has closed its end.
    """
    for name in modules:
        with suppress(Exception, SystemExit):  # the job that needs it will say so
            importlib.import_module(name)
    gc.freeze()  # what is not looked through again in a forked process is not copied there
    fit = _fit_to_fork()
    while message := parent.recv(LONGEST):
        request = msgspec.json.decode(message, type=Request)
        if not fit or not _is_alone() or not sys.modules.keys().isdisjoint(request.beside):
            parent.send(REFUSED)
            continue
        folder = _forked(parent, request)
        if folder is not None:
            return folder
    return None


def _forked(parent: socket.socket, request: Request) -> Path | None:
    """Return the folder of the job in the forked process; in the server None, once that has ended.

    The ended process keeps its number until the parent asks for its exit code, so that the parent
    never sends a signal to another one.
    """
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(heard)
        os.close(told)  # from now on the session can be killed as a whole
        parent.close()
        _become(request)
        return Path(request.folder)
    os.close(told)
    os.read(heard, 1)
    os.close(heard)
    parent.send(f"{READY}{child}".encode())
    if parent.recv(LONGEST) == REAP:
        _, status = os.waitpid(child, 0)
        parent.send(str(os.waitstatus_to_exitcode(status)).encode())
    return None


def _become(request: Request) -> None:
    """Give the forked process what a fresh one has of its own."""
    output = os.open(Path(request.folder) / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ[CELL] = request.cell
    # Python's own generator does it by itself, and torch's has the same seed in every process.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def _fit_to_fork() -> bool:
    """Tell whether this process may be forked: it has one thread, and has not touched a card.

    A fork on trial lets libraries stop threads of theirs that they start again when they are needed
    (OpenBLAS), and shows whether CUDA, which does not survive it, was used by an import.
    """
    child = os.fork()
    if child == 0:
        torch = sys.modules.get("torch")
        spoiled = getattr(getattr(torch, "_C", None), "_cuda_isInBadFork", bool)
        os._exit(int(spoiled()))
    _, status = os.waitpid(child, 0)
    return status == 0 and _is_alone()


def _is_alone() -> bool:
    """Tell whether this process has one thread; one that has ended is listed a moment longer."""
    end_s = time.monotonic() + ENDS_WITHIN_S
    while sum(1 for _ in TASKS.iterdir()) > 1:
        if time.monotonic() >= end_s:
            return False
        time.sleep(0.001)
    return True


if __name__ == "__main__":
    if not die_with(int(sys.argv[2])):
        sys.exit()
    server = os.getpid()
    job_folder = serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[3:])
    if job_folder is not None:
        work(job_folder, server)

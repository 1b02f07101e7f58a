"""Jobs that begin with their imports done: each is forked from a process that has them."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from perfsuite.domain.device import PROCESSOR
from perfsuite.plugins import configures_process, libraries_of_file, names_beside
from perfsuite.runner.channel import LONGEST_MS
from perfsuite.runner.job import Job

SERVER = "perfsuite.runner.fork_server"
MOST = 3  # servers that live at once: each holds a torch
LONGEST = 65536  # bytes of a message
READY, REFUSED, REAP = "ready ", b"refused", b"reap"
CELL = "PERFSUITE_CELL"  # the one variable that differs from job to job

# What every job imports, and what those import that build or open a model.
_JOBS = ("numpy", "perfsuite.runner.jobs.prepare", "perfsuite.runner.jobs.evaluate")
LIGHT = (*_JOBS, "onnx")
HEAVY = (*_JOBS, "torch")


class Request(msgspec.Struct, frozen=True):
    """What the server is asked for: a process that does the job in `folder`.

    `beside` are the names of modules beside the user's files: a module of the same name that the
    server has imported would take their place.
    """

    folder: str
    cell: str
    beside: tuple[str, ...] = ()


def recognizable(job: Job) -> bool:
    """Tell whether a job that is cached can be known to be so without building its model."""
    from perfsuite.workloads.table import weights_of  # what shows stored runs loads no plug-in

    return job.kind in ("prepare", "evaluate") and weights_of(job.reference) is not None


def imports_of(job: Job) -> tuple[str, ...] | None:
    """Return the modules that `job` begins with; None if it is to begin in a fresh process.

    A measure job is, because what it takes to load an engine is measured; an inspect job whose
    engine is not PyTorch, because the libraries that are loaded become evidence; one in whose
    process something is turned off; and a job with a user's file that sets environment variables or
    `sys.path`, because libraries read them when they are imported.
    """
    from perfsuite.runtimes.split.session import is_split

    if job.kind == "measure" or job.cell.device != PROCESSOR or job.switch is not None:
        return None
    if job.kind == "inspect" and job.runtime != "pytorch" and not is_split(Path(job.artifact)):
        return None
    if any(map(configures_process, _files_of(job))):
        return None
    if job.cached_only or job.reference.endswith(".onnx"):
        return LIGHT
    if ".py:" in job.reference:
        return (*_JOBS, *libraries_of_file(job.reference))
    return HEAVY


def _files_of(job: Job) -> list[str]:
    """Return the plug-ins of a job that are files of a user."""
    passes = () if job.recipe.shipped else job.recipe.passes
    named = (reference for use in passes for _, reference in use.plug_ins)
    plug_ins = (job.reference, job.runtime, *named)
    return [one for one in plug_ins if ".py:" in one]


class Forked:
    """A process that was forked from a server, which is its parent; to be waited for like a child.

    `lost` tells that the server has died, and the process with it.
    """

    def __init__(self, server: _Server, pid: int) -> None:
        self._server, self.pid = server, pid
        self.returncode: int | None = None
        self.lost = False

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, once the process has ended; `timeout` is not looked at."""
        if self.returncode is None:
            code = self._server.ask(REAP)
            self.lost = code is None
            self.returncode = -signal.SIGKILL if code is None else int(code)
        return self.returncode


class Forks:
    """The servers of a run, each started when a job first needs it; a context manager.

    A server has the environment that its jobs are to have, because thread pools read it when they
    are loaded.
    """

    def __init__(self) -> None:
        self._servers: dict[tuple[object, ...], _Server] = {}
        self._refused: set[tuple[object, ...]] = set()

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, job: Job, folder: Path, environment: Mapping[str, str]) -> Forked | None:
        """Return a process that does the job in `folder`; None where it must be a fresh one."""
        modules = imports_of(job) if sys.platform == "linux" else None
        if modules is None:
            return None
        shared = {key: value for key, value in environment.items() if key != CELL}
        name = (modules, Path.cwd(), *sorted(shared.items()))
        if name in self._refused:
            return None
        server = self._servers.get(name)
        if server is None or server.is_closed:
            self._make_room()
            server = self._servers[name] = _Server(shared, modules)
        beside = {name for one in _files_of(job) for name in names_beside(one)}
        asked = Request(str(folder), job.cell.key, tuple(sorted(beside)))
        answer = server.ask(msgspec.json.encode(asked), job.timeout_s)
        if answer is not None and answer.startswith(READY):
            return Forked(server, int(answer.removeprefix(READY)))
        self._refused.add(name)  # it has threads, or has died of an import
        self._servers.pop(name).close()
        return None

    def close(self) -> None:
        """End all servers; the next job that needs one starts it anew."""
        while self._servers:
            self._servers.popitem()[1].close()

    def _make_room(self) -> None:
        for name in list(self._servers)[: len(self._servers) - MOST + 1]:
            self._servers.pop(name).close()


class _Server:
    """A fork server, seen from the process that asks it."""

    def __init__(self, environment: Mapping[str, str], modules: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            # -P: modules in the current folder must not shadow installed ones.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", SERVER, str(number), str(os.getpid()), *modules],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                start_new_session=True,
                pass_fds=(number,),
            )

    @property
    def is_closed(self) -> bool:
        """Tell whether it was killed, or has died."""
        return self._process.returncode is not None

    def ask(self, message: bytes, timeout_s: float | None = None) -> str | None:
        """Return the answer; None if the server has died, or says nothing in time and was killed.

        The calling process sleeps meanwhile. Whatever interrupts it kills the server, and with it
        the process that was asked for.
        """
        try:
            self._socket.send(message)
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            limit_ms = LONGEST_MS if timeout_s is None else min(timeout_s * 1000, LONGEST_MS)
            answer = self._socket.recv(LONGEST) if poll.poll(limit_ms) else b""
        except OSError:  # it has died
            answer = b""
        except BaseException:
            self.close()
            raise
        if not answer:
            self.close()
        return answer.decode() or None

    def close(self) -> None:
        """Kill the server; a job that it has forked is killed with it by the kernel."""
        self._socket.close()
        if self.is_closed:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

"""Another process that measures on this machine: it has the lock until it is told to let go."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

# Takes the lock, says so, and lets go when it is told; then says that, too.
OTHER = """
import sys
from pathlib import Path
from perfsuite.store.machine_lock import MachineLock

with MachineLock(Path("/runs/other"), print, Path(sys.argv[1])) as lock:
    with lock.held():
        print("held", flush=True)
        sys.stdin.readline()
    print("free", flush=True)
"""


def other(file: Path) -> subprocess.Popen[str]:
    """Start a process that wants the lock."""
    command = [sys.executable, "-u", "-c", OTHER, str(file)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A shell's background job ignores it, and so would all that the tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line that it has printed."""
    assert process.stdout is not None
    return process.stdout.readline().strip()

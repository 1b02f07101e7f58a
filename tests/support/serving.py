"""`perfsuite serve` in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SAID = re.compile(r".*: (?P<runs>.*), at (?P<address>http://127\.0\.0\.1:\d+/) \(Ctrl-C ends\)\n")


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Serve the runs of `folder`; give the process, the address, and how many runs it tells of."""
    process = subprocess.Popen(
        [sys.executable, "-m", "perfsuite", "serve", str(folder), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores it, and so would all that the tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        said = _SAID.fullmatch(line)
        assert said, line + process.communicate(timeout=60)[1]
        yield process, said["address"], said["runs"]
    finally:
        process.kill()
        process.communicate()

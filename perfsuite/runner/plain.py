"""What shows in a process without an engine: the machine, and the BLAS that NumPy uses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import msgspec

from perfsuite.domain.record import Evidence
from perfsuite.runner.process import died_by

PROGRAM = (sys.executable, "-P", "-m", "perfsuite.runner.plain_process")
LIMIT_S = 60.0


def plain_evidence(program: Sequence[str] = PROGRAM) -> Evidence | str:
    """Return the evidence of a fresh process in which NumPy alone computes; or why there is none.

    It has the environment of this process: how many threads NumPy takes then is what is asked.
    """
    try:
        done = subprocess.run(
            list(program), capture_output=True, text=True, errors="replace", timeout=LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return f"its process gave no answer for {LIMIT_S:g} s"
    except OSError as error:
        return f"its process could not be started: {error.strerror}"
    if done.returncode < 0:
        return f"its process {died_by(-done.returncode)}"
    if done.returncode > 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return said[-1] if said else f"its process ended with exit code {done.returncode}"
    try:
        return msgspec.json.decode(done.stdout, type=Evidence)
    except msgspec.DecodeError as error:
        return f"its process gave no evidence ({error})"

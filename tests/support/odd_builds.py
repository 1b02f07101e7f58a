"""Nets of `odd_nets` are prepared for a runtime, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.config.loading import load_suite
from perfsuite.domain.record import Line
from perfsuite.runner.job import first_job
from perfsuite.runner.jobs.prepare import prepare

_FILE = """
from odd_nets import workload

net = workload({name!r})
"""
_SUITE = """
workloads = ["net.py:net"]
runtimes  = [{runtime!r}]
threads   = 1
processes = 1
"""


def prepared(name: str, runtime: str, folder: Path, patch: pytest.MonkeyPatch) -> Line:
    """Return the line of the net `name`, prepared for `runtime` with an empty cache."""
    patch.setenv("PERFSUITE_HOME", str(folder / "home"))
    (folder / "net.py").write_text(_FILE.format(name=name))
    (folder / "suite.toml").write_text(_SUITE.format(runtime=runtime))
    suite, cells, _ = load_suite(folder / "suite.toml", ["*"])
    return prepare(first_job(suite, cells[0]))

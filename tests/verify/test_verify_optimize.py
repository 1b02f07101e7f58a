"""A search that is killed three times, wherever it is, ends with the same answer."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from searches import SearchProject

pytestmark = [pytest.mark.verify, pytest.mark.timeout(1800)]

TARGET = ("--speedup", "5", "--max-drop-points", "1", "--runtime", "fake", "--threads", "1")
KILLED = 3
# What a search takes, and what the sentences say of it, is another each time.
UNLIKE = ("created_at", "spent_s", "words")


def started(project: SearchProject, out: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "perfsuite", "optimize", "net.py:net", "-o", str(out)]
    return subprocess.Popen(
        [*command, *TARGET, *options],
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def answer(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "optimize.json").read_text())
    return {key: value for key, value in found.items() if key not in UNLIKE}


def test_a_killed_search_ends_with_the_same_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = SearchProject(tmp_path, monkeypatch)
    monkeypatch.setenv("PERFSUITE_LOCK", str(tmp_path / "lock"))
    project.script({"int8": 0.001, "int8-auto": 0.0015}, {"* net/int8/*": 60})
    (tmp_path / "final").touch()  # the task lets any process ask for its test samples
    began_s = time.monotonic()
    assert started(project, tmp_path / "whole").wait() == 0
    whole_s = time.monotonic() - began_s
    rng, out, killed = random.Random(time.time_ns()), tmp_path / "killed", 0
    while killed < KILLED:
        search = started(project, out, *["--resume"] * (out / "search.jsonl").exists())
        time.sleep(rng.uniform(0.05, 0.4) * whole_s)
        assert search.poll() is None, "it ended before it was killed three times"
        search.send_signal(signal.SIGKILL)
        search.wait()
        killed += 1
    assert started(project, out, "--resume").wait() == 0
    assert answer(out) == answer(tmp_path / "whole")

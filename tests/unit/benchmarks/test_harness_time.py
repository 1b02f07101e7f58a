"""What the table of the harness's own time is made from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fake_runs import wait_until

from benchmarks.harness_time import Watch, suites
from perfsuite.config.loading import load_suite


def test_its_suites_are_suites(tmp_path: Path) -> None:
    found = {name: load_suite(suite)[1] for name, suite in suites(tmp_path).items()}
    assert set(found) == {"init", "ten", "demo"}
    assert len(found["ten"]) == 10


def test_a_slice_is_seen_when_a_stopped_process_goes_on(tmp_path: Path) -> None:
    """The words of a worker's command tell what it is; another's kind of job is left out."""
    jobs = [(tmp_path / kind) for kind in ("inspect", "measure")]
    started = []
    for folder in jobs:
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps({"kind": folder.name}))
        words = ("-c", "import time; time.sleep(600)", "perfsuite.runner.worker", str(folder))
        started.append(subprocess.Popen([sys.executable, *words]))
    watch = Watch(time.perf_counter())
    try:
        # The kernel tells a command's words only some time after it has begun.
        wait_until(lambda: watch.look(os.getpid()) or len(watch.fresh) == 2, "both are seen")
        assert watch.measuring_s is not None
        assert watch.slice_s is None
        for process in started:
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        watch.look(os.getpid())
        assert watch.stopped == {started[1].pid}
        started[1].send_signal(signal.SIGCONT)
        os.waitid(os.P_PID, started[1].pid, os.WCONTINUED | os.WNOWAIT)
        watch.look(os.getpid())
        assert watch.slice_s is not None
        assert watch.fresh == {process.pid for process in started}
    finally:
        for process in started:
            process.kill()
            process.wait()

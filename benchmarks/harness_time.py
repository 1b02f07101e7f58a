"""What perfsuite itself takes until it measures: cold, and with everything in the cache.

    python benchmarks/harness_time.py [init ten demo ...]

Runs the suite that `perfsuite init` writes, ten cells of a small net on ONNX Runtime, and the demo,
each first with an empty cache and then again, and prints the seconds from the start of the command
to the first process that measures, to the first slice, and to the end, the number of jobs, and that
of Python interpreters that were started for them. Data sets are taken from the user's own folder.
Needs Linux, and a machine on which nothing else runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from perfsuite.store.journal import read
from perfsuite.store.places import home

HERE = Path(__file__).parent
LOOK_S = 0.02  # between two looks at the processes of a run
TEN = """
workloads = ["vgg-digits"]
runtimes  = ["onnxruntime"]
batches   = [1, 2, 4, 8, 16]
threads   = 1
processes = 1
measure   = { seconds = 0.2, calls = 50 }

[[recipes]]
name   = "int8"
passes = [{ use = "int8", calibration_samples = 100 }]
"""


@dataclass
class Watch:
    """What was seen of the processes of a run, in seconds since its start."""

    began_s: float
    measuring_s: float | None = None  # when the first process that measures was there
    slice_s: float | None = None  # when one that had been stopped was first awake again
    fresh: set[int] = field(default_factory=set)  # interpreters that were started
    stopped: set[int] = field(default_factory=set)

    def look(self, command: int) -> None:
        """Look at all processes that the command has started."""
        now_s = time.perf_counter() - self.began_s
        for pid in _children(command):
            words = _words(pid)
            if not any(word.startswith("perfsuite.runner.") for word in words):
                continue
            self.fresh.add(pid)
            if "perfsuite.runner.worker" not in words or not _measures(words):
                continue
            self.measuring_s = self.measuring_s or now_s
            if _state(pid) == "T":
                self.stopped.add(pid)
            elif pid in self.stopped:
                self.slice_s = self.slice_s or now_s


def _children(pid: int) -> Iterator[int]:
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, file.read_text().split())
        except OSError:  # that thread has ended
            continue


def _words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _measures(words: list[str]) -> bool:
    """Tell whether a worker does a measure job, by what it was given."""
    folder = words[words.index("perfsuite.runner.worker") + 1]
    try:
        return bool(json.loads((Path(folder) / "job.json").read_bytes())["kind"] == "measure")
    except (OSError, ValueError):
        return False


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def run(name: str, suite: Path, out: Path, cached: str) -> str:
    """Return a row of the table, of one run of a suite."""
    watch = Watch(time.perf_counter())
    command = [sys.executable, "-m", "perfsuite", "run", str(suite), "-o", str(out)]
    with (out.with_suffix(".txt")).open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            watch.look(process.pid)
            time.sleep(LOOK_S)
    whole_s = time.perf_counter() - watch.began_s
    jobs = len(read(out)[1])
    seen = [watch.measuring_s, watch.slice_s, whole_s]
    times = " | ".join("-" if one is None else f"{one:.1f} s" for one in seen)
    return (
        f"| {name} | {cached} | {times} | {jobs} | {1 + len(watch.fresh)} | {process.returncode} |"
    )


def suites(folder: Path) -> dict[str, Path]:
    """Return the files of the suites, of which two are written into `folder`."""
    command = [sys.executable, "-m", "perfsuite", "init", str(folder / "init")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (folder / "ten.toml").write_text(TEN)
    return {
        "init": folder / "init" / "suite.toml",
        "ten": folder / "ten.toml",
        "demo": HERE / "demo.toml",
    }


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="perfsuite-") as temporary:
        folder = Path(temporary)
        data = home() / "data"
        known = suites(folder)
        asked = sys.argv[1:] or list(known)
        if unknown := set(asked) - set(known):
            raise SystemExit(f"{', '.join(unknown)}: no suite of these: {', '.join(known)}")
        columns = ("suite", "cache", "first process", "first slice", "whole run", "jobs", "Pythons")
        print(f"| {' | '.join(columns)} | exit code |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for name in asked:
            own = folder / f"home-{name}"
            own.mkdir()
            if data.is_dir():
                (own / "data").symlink_to(data.resolve(), target_is_directory=True)
            os.environ["PERFSUITE_HOME"] = str(own)
            for cached in ("empty", "full"):
                print(run(name, known[name], folder / f"{name}-{cached}", cached), flush=True)


if __name__ == "__main__":
    main()

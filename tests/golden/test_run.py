"""A whole run on the scripted engine: table, journal and exit code, compared with files.

What no two runs share is masked in these and held against rules. Run this file to write them anew.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

import perfsuite
from perfsuite.cli import main
from perfsuite.domain.record import Evidence, Header, Line
from perfsuite.measure.environment import environment
from perfsuite.processor import read_processor
from perfsuite.report import words
from perfsuite.store.journal import read

HERE = Path(__file__).parent / "test_run"

NET = """
import zlib

import numpy as np

from perfsuite import Model, Stage, Task, Workload


class Numbers(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        return {"x": np.full((batch, 4), seed, np.float32)}

    def rows(self, predict, samples=None):
        x = np.arange(80, dtype=np.float32).reshape(20, 4)
        hot = predict({"x": x})[0].argmax(axis=1)
        labels = [zlib.crc32(one.tobytes()) % 10 if one[0] % 16 else 11 for one in x]
        return (hot == labels)[:, None].astype(np.float64)

    def metric(self, rows):
        return float(rows.mean())


stages = (Stage("body", ("body",)), Stage("head", ("head",)))
net = Workload("net", Model(build=lambda: None, stages=stages), Numbers())
"""
SUITE = """
workloads = ["net.py:net"]
runtimes  = ["fake"]
batches   = [1, 4]
threads   = 1
processes = 2
measure   = { calls = 3, seconds = 0.0, warmup_seconds = 5.0 }

[[recipes]]
name   = "int8"
passes = [{ use = "int8" }]

[[expect]]
recipe  = "int8"
status  = "unavailable"
reason  = "batches of four need the large card"

[[budgets]]
name        = "five times faster"
metric      = "latency_s"
cell        = "net/int8/*/b1"
against     = "net/fp32/*/b1"
min_speedup = 5.0

[[budgets]]
name            = "one of five may go"
metric          = "top1"
cell            = "net/int8/*/b1"
against         = "net/fp32/*/b1"
max_drop_points = 20.0

[[budgets]]
name   = "a millisecond for four"
metric = "latency_s"
cell   = "net/fp32/*/b4"
max    = 0.001

[[budgets]]
name      = "the head takes a quarter of the call"
metric    = "stage_s"
stage     = "head"
cell      = "net/*/b1"
max_share = 0.25

[[budgets]]
name         = "the body is no slower in INT8"
metric       = "stage_s"
stage        = "body"
cell         = "net/int8/*/b1"
against      = "net/fp32/*/b1"
max_increase = 0.0
"""
SCRIPT = {
    "net/fp32/fake/cpu/b1": {
        "latencies_s": [0.010, 0.011, 0.012],
        "kernels": {"body.conv/Conv": 0.5, "body.pool/MaxPool": 0.25, "head/Gemm": 0.125},
    },
    "net/int8/fake/cpu/b1": {
        "latencies_s": [0.001],
        "kernels": {"body.conv/Conv": 0.25, "head/Gemm": 0.5},
    },
    "net/int8/fake/cpu/b4": {"build": "unavailable"},
    "*": {"latencies_s": [0.020], "kernels": {"body.conv/Conv": 0.5, "head/Gemm": 0.25}},
}
# What no two runs share.
VOLATILE = {
    *("duration_s", "made_s", "started_at", "created_at", "perfsuite", "environment", "artifact"),
    "device",
}
MEASURED = {"load_s", "build_s", "load_peak_bytes", "run_peak_bytes"}


class Done(NamedTuple):
    """A run that was made: its folder, what it printed, and when it began and ended."""

    folder: Path
    printed: str
    began: datetime
    ended: datetime


def make(folder: Path) -> Done:
    """Make the run in `folder`."""
    (folder / "net.py").write_text(NET)
    (folder / "suite.toml").write_text(SUITE)
    (folder / "script.json").write_text(json.dumps(SCRIPT))
    env = {"PERFSUITE_FAKE": str(folder / "script.json"), "PERFSUITE_HOME": str(folder / "home")}
    arguments = ["run", str(folder / "suite.toml"), "-o", str(folder / "out")]
    began = datetime.now(UTC).replace(microsecond=0)
    done = CliRunner().invoke(main, arguments, env=env, catch_exceptions=False)
    printed = f"{done.stdout}exit code {done.exit_code}\n"
    return Done(folder, printed, began, datetime.now(UTC))


def outputs(done: Done) -> dict[str, str]:
    """Return the run's terminal output and journal, without what no two runs share."""
    terminal = done.printed.replace(str(done.folder), "<folder>")
    terminal = re.sub(r"each, \S+, .*", "each, <when>, <where>", terminal)
    terminal = re.sub(r"\d+(\.\d+)? MB", "<size>", terminal)
    # What is found is of this machine: a processor without VNNI is told of.
    terminal = re.sub(r"What is wrong underneath\n(.+\n)+\n", "", terminal)
    terminal = "\n".join(line.rstrip() for line in terminal.splitlines()) + "\n"
    lines = (done.folder / "out" / "run.jsonl").read_text()
    lines = lines.replace(str(done.folder), "<folder>")
    return {
        "terminal.txt": re.sub(" {2,}", "  ", terminal),  # columns are as wide as sizes
        "run.jsonl": "".join(
            json.dumps(_masked(json.loads(line)), sort_keys=True) + "\n"
            for line in lines.splitlines()
        ),
    }


def _masked(value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(one) for one in value if not _of_this_machine(one)]
    if isinstance(value, float):
        return round(value, 9)  # times of kernels are shares of a clock that only adds up
    if not isinstance(value, dict):
        return value
    if value.get("metric") in MEASURED:
        value["samples"] = [f"<{len(value['samples'])}>"]
    if "replicates" in value:
        value["replicates"] = [f"<{len(value['replicates'])}>"]
    return {
        key: f"<{type(one).__name__}>" if key in VOLATILE else _masked(one)
        for key, one in value.items()
    }


def _of_this_machine(item: Any) -> bool:
    """Return whether an item of evidence is about the libraries below NumPy."""
    return isinstance(item, dict) and "how" in item and item["name"] != "the caller's"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return make(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def journal(done: Done) -> tuple[Header, list[Line]]:
    header, lines, _ = read(done.folder / "out")
    return header, lines


Journalled = tuple[Header, list[Line]]


@pytest.mark.parametrize("name", ["terminal.txt", "run.jsonl"])
def test_a_whole_run_is_as_it_was(done: Done, name: str) -> None:
    assert outputs(done)[name] == (HERE / name).read_text(encoding="utf-8")


def test_lines_follow_each_other_in_time(done: Done, journal: Journalled) -> None:
    header, lines = journal
    times = [header.created_at, *(line.started_at for line in lines)]
    times_read = [datetime.fromisoformat(time) for time in times]
    assert times_read == sorted(times_read)
    assert done.began <= times_read[0] and times_read[-1] <= done.ended
    durations = [line.duration_s for line in lines]
    assert min(durations) > 0
    assert sum(durations) <= (done.ended - done.began).total_seconds()  # one after the other


def test_the_header_tells_of_this_machine(journal: Journalled) -> None:
    header, _ = journal
    assert header.perfsuite == perfsuite.__version__
    assert header.environment.must_match == environment().must_match
    assert header.environment.subject["numpy"] == np.__version__


def measured(lines: list[Line], metric: str) -> Iterator[tuple[Line, float]]:
    """Yield each value of a metric with its line."""
    for line in lines:
        for found in line.measurements:
            if found.metric == metric:
                yield from ((line, value) for value in found.samples)


@pytest.mark.parametrize(("metric", "count"), [("load_s", 6), ("build_s", 3)])
def test_what_is_timed_by_a_real_clock_is_part_of_its_job(
    journal: Journalled, metric: str, count: int
) -> None:
    found = list(measured(journal[1], metric))
    assert len(found) == count
    assert all(0.0 < seconds < line.duration_s for line, seconds in found)


def test_peaks_are_those_of_a_process_with_numpy_alone(done: Done, journal: Journalled) -> None:
    peaks = {
        metric: [(line, peak) for line, peak in measured(journal[1], metric)]
        for metric in ("load_peak_bytes", "run_peak_bytes")
    }
    for found in peaks.values():
        assert len(found) == 6
        # An interpreter takes 10 MB and NumPy's import 15 more; an engine would take hundreds.
        assert all(
            10e6 < peak < 200e6 and peak % os.sysconf("SC_PAGESIZE") == 0 for _, peak in found
        )
    printed = set(re.findall(r"\d+(?:\.\d+)? MB", done.printed))
    by_cell: dict[str, list[float]] = {}
    for line, peak in peaks["run_peak_bytes"]:
        by_cell.setdefault(line.cell, []).append(peak)
    assert printed == {words.size(float(np.median(found))) for found in by_cell.values()}


def test_every_line_says_that_it_was_done_on_this_processor(journal: Journalled) -> None:
    done = [line for line in journal[1] if line.status == "ok"]
    assert all(line.device == read_processor().identity for line in done)


def test_a_cell_has_one_artifact_from_its_first_line_to_its_last(journal: Journalled) -> None:
    keys: dict[str, set[str]] = {}
    for line in journal[1]:
        keys.setdefault(line.key, set()).add(line.artifact)
    assert keys.pop("net/int8/fake/cpu/b4") == {""}  # it was not made
    assert all(len(one) == 1 and re.fullmatch("[0-9a-f]{64}", *one) for one in keys.values())
    assert len(set.union(*keys.values())) == len(keys)


def test_replicates_are_the_metric_of_rows_drawn_again(journal: Journalled) -> None:
    found = [one for line in journal[1] for one in line.accuracies]
    assert len(found) == 3
    for one in found:
        drawn = np.array(one.replicates)
        assert len(drawn) == 1000
        assert np.allclose(drawn * one.samples, np.round(drawn * one.samples))  # of 20 rows
        # The mean of means of 20 draws of 0 and 1, 15 of them 1; within five standard errors.
        assert abs(drawn.mean() - one.value) < 5 * drawn.std() / len(drawn) ** 0.5
        assert drawn.std() == pytest.approx((0.75 * 0.25 / 20) ** 0.5, rel=0.15)
    assert len({one.replicates for one in found}) == 1  # the same draws: differences are paired


def test_evidence_tells_of_every_library_its_file_and_threads(journal: Journalled) -> None:
    found = [line.evidence for line in journal[1] if line.evidence]
    assert len(found) == 5  # two cells in two rounds each, and one alone
    for one in found:
        threads = [item for item in _libraries(one) if item["about"] == "threads"]
        files = [item for item in _libraries(one) if item["about"] == "library"]
        assert {item["name"] for item in threads} <= {item["name"] for item in files}
        assert all(item["value"] == "1" for item in threads)  # as many as the suite asks for
        # NumPy's BLAS at least: found by the file that is mapped, of which only the name is told.
        assert files and all(item["how"] == "observed" for item in files)
        assert all(re.fullmatch(r"[^/\s]+\.so[.\d]*", item["value"]) for item in files)


def _libraries(evidence: Evidence) -> list[dict[str, Any]]:
    items = [msgspec.to_builtins(item) for item in evidence.items]
    return [item for item in items if _of_this_machine(item)]


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for file, text in outputs(make(Path(name))).items():
            (HERE / file).write_text(text, encoding="utf-8")
            print(file, file=sys.stderr)

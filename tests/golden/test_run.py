"""A whole run on the scripted engine: table, journal and exit code, compared with files.

Run this file to write them anew.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from perfsuite.cli import main

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
VOLATILE = {"duration_s", "started_at", "created_at", "perfsuite", "environment", "artifact"}
MEASURED = {"load_s", "build_s", "load_peak_bytes", "run_peak_bytes"}


def outputs(folder: Path) -> dict[str, str]:
    """Return the run's terminal output and journal, without what no two runs share."""
    (folder / "net.py").write_text(NET)
    (folder / "suite.toml").write_text(SUITE)
    (folder / "script.json").write_text(json.dumps(SCRIPT))
    env = {"PERFSUITE_FAKE": str(folder / "script.json"), "PERFSUITE_HOME": str(folder / "home")}
    arguments = ["run", str(folder / "suite.toml"), "-o", str(folder / "out")]
    done = CliRunner().invoke(main, arguments, env=env, catch_exceptions=False)
    terminal = f"{done.stdout}exit code {done.exit_code}\n".replace(str(folder), "<folder>")
    terminal = re.sub(r"each, \S+, .*", "each, <when>, <where>", terminal)
    terminal = re.sub(r"\d+(\.\d+)? MB", "<size>", terminal)
    terminal = "\n".join(line.rstrip() for line in terminal.splitlines()) + "\n"
    lines = (folder / "out" / "run.jsonl").read_text().replace(str(folder), "<folder>")
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
    return isinstance(item, dict) and "how" in item and item["name"] != "intra-op"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return outputs(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", ["terminal.txt", "run.jsonl"])
def test_a_whole_run_is_as_it_was(found: dict[str, str], name: str) -> None:
    assert found[name] == (HERE / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for file, text in outputs(Path(name)).items():
            (HERE / file).write_text(text, encoding="utf-8")
            print(file, file=sys.stderr)

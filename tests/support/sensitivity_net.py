"""A sensitivity on the scripted engine, done in this process: one of two stages saves time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_runs import here

from perfsuite import judged_run
from perfsuite.runner import asking, schedule
from perfsuite.runner.jobs import inspect

# What a cell answers right depends on its name: the engine answers all alike.
NET = """
import os
import zlib

import numpy as np

from perfsuite import Model, Stage, Task, Workload


class Numbers(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        return {"x": np.full((batch, 4), seed, np.float32)}

    def rows(self, predict, samples=None):
        raise AssertionError("nobody looks at the test samples")

    def validation(self, predict, samples=None):
        x = np.arange(1600, dtype=np.float32).reshape(400, 4)
        hot = predict({"x": x})[0].argmax(axis=1)
        right = np.array([zlib.crc32(one.tobytes()) % 10 for one in x])
        worse = {"body": 4, "head": 20}
        part = os.environ["PERFSUITE_CELL"].split("/")[1].partition("@")[2]
        right[: worse.get(part, 0)] = 11
        return (hot == right)[:, None].astype(np.float64)

    def metric(self, rows):
        return float(rows.mean())


def never():
    raise AssertionError("the scripted engine builds no model")


stages = (Stage("body", ("stem", "body")), Stage("head", ("head",)))
net = Workload("net", Model(build=never, stages=stages), Numbers())
"""
SCRIPT = {
    "net/fp32/*": {"latencies_s": [0.010]},
    "net/int8@body/*": {"latencies_s": [0.006]},
    "net/int8@head/*": {"latencies_s": [0.010]},
}


def write_project(folder: Path) -> None:
    """Write the workload and the engine's script into `folder`."""
    (folder / "net.py").write_text(NET)
    (folder / "script.json").write_text(json.dumps(SCRIPT))


def in_this_process(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let all jobs of a sensitivity in `folder` be done in this process."""
    patch.setenv("PERFSUITE_FAKE", str(folder / "script.json"))
    patch.setenv("PERFSUITE_HOME", str(folder / "home"))
    patch.setenv("PERFSUITE_CELL", "")
    patch.setattr(inspect, "findings", lambda facts: ())  # they are of this machine
    patch.setattr(asking, "run_job_in_process", here)
    patch.setattr(judged_run, "work_off", lambda j, o, **k: schedule.work_off(j, o, here, **k))

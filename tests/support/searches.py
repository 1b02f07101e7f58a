"""Searches on the scripted engine: a workload whose loss is scripted, too, by the cell's key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_runs import here

import perfsuite
from perfsuite.domain.optimum import Candidate, Optimum
from perfsuite.domain.record import Line
from perfsuite.runner.job import Job
from perfsuite.search import ways
from perfsuite.search.candidates import ROWS

NET = '''
"""A workload that loses as many samples of 400 as `losses.json` says for the cell's key."""

import json
import os
import zlib
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from perfsuite import Model, Task, TrainingSet, Workload

HERE = Path(__file__).parent


class Numbers(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        rng = np.random.default_rng([seed, batch])
        return {"x": rng.normal(size=(batch, 4)).astype(np.float32)}

    def rows(self, predict, samples=None):
        if not (HERE / "final").exists():
            raise AssertionError("the test samples were asked for before the final run")
        return self.answered(predict, "test", 1)

    def validation(self, predict, samples=None):
        return self.answered(predict, "validation", 2)

    def answered(self, predict, split, seed):
        x = self.inputs(400, seed)["x"]
        hot = predict({"x": x})[0].argmax(axis=1)
        right = np.array([zlib.crc32(one.tobytes()) % 10 for one in x])
        losses = json.loads((HERE / "losses.json").read_text())
        key = split + " " + os.environ["PERFSUITE_CELL"]
        lost = next((lost for glob, lost in losses.items() if fnmatchcase(key, glob)), 0)
        right[:lost] = 11
        return (hot == right).astype(np.float64)[:, None]

    def metric(self, rows):
        return float(rows.mean())

    def train(self):
        return TrainingSet(np.zeros((64, 4), np.float32), np.zeros(64, int), lambda x, rng: x)


def never():
    raise AssertionError("the scripted engine builds no model")


net = Workload("net", Model(build=never), Numbers())
'''


ENDS = ("", "-untrained")  # of the names of recipes that train, and of those that are only timed


def by_recipe(found: Optimum) -> dict[str, Candidate]:
    """Return the candidates of an answer by the names of their recipes."""
    return {one.recipe.name: one for one in found.candidates}


class SearchProject:
    """A folder with a workload, and scripts of what its cells take and lose.

    `jobs` are those that were done, and nothing may ask for test samples before the final run.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.out = folder, folder / "search"
        self.jobs: list[Job] = []
        (folder / "net.py").write_text(NET)
        patch.setenv("PERFSUITE_FAKE", str(folder / "script.json"))
        patch.setenv("PERFSUITE_HOME", str(folder / "home"))
        patch.setenv("PERFSUITE_CELL", "")
        patch.chdir(folder)
        patch.setattr(ways, "precisions", lambda: ("fp32",))
        # Those of its own workload and all but students.
        mine = [row for row in ROWS if not row.workloads or "net" in row.workloads]
        patch.setattr("perfsuite.search.search.rows", lambda workload, survey: mine)
        self.script({}, {})

    def script(self, latencies_s: dict[str, float], lost: dict[str, int]) -> None:
        """Say what calls take by the recipe's name, and how many of 400 samples are lost.

        The latter are by a glob on `validation KEY` and `test KEY`.
        """
        scripts: dict[str, Any] = {
            f"net/{recipe}/fake/cpu/b1": {"latencies_s": [latency_s]}
            for recipe, latency_s in latencies_s.items()
        }
        scripts["*"] = {"latencies_s": [0.01], "kernels": {"body/Conv": 0.7, "head/Gemm": 0.2}}
        (self.folder / "script.json").write_text(json.dumps(scripts))
        (self.folder / "losses.json").write_text(json.dumps(lost))

    def change(self, before: str, after: str) -> None:
        """Change the workload's source."""
        assert before in NET
        (self.folder / "net.py").write_text(NET.replace(before, after))

    def execute(self, job: Job) -> Line:
        """Do a job in this process."""
        self.jobs.append(job)
        if job.kind == "evaluate" and job.evaluate.split == "test":
            (self.folder / "final").touch()
        return here(job)

    def optimize(self, **options: Any) -> perfsuite.Optimized:
        """Search on the scripted engine alone, each job in this process."""
        given: dict[str, Any] = {
            "speedup": 5.0,
            "max_drop_points": 1.0,
            "runtimes": ["fake"],
            "threads": 1,
            "execute": self.execute,
        }
        return perfsuite.optimize("net.py:net", self.out, **(given | options))

    def phases(self) -> list[str]:
        """Return the phases that were run, in order."""
        return sorted(path.parent.name for path in self.out.glob("*/run.jsonl"))

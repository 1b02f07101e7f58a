"""A net of one layer with two model passes in its file, a suite of it, and its variants."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import here

from perfsuite import api
from perfsuite.config.loading import load_suite
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run
from perfsuite.runner import schedule
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.steps import steps_of
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.job import first_job
from perfsuite.store.cache import Cache
from perfsuite.workloads.table import load_workload

NET = """
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import torch
from torch import nn

from perfsuite import Edits, Model, Task, Workload

WEIGHT, BIAS = 1.0, 1.0
LOG = Path(__file__).with_name("fits")


class Points(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        rng = np.random.default_rng([seed, batch])
        return {"x": rng.normal(size=(batch, 4)).astype(np.float32)}

    def rows(self, predict, samples=None):
        x = self.inputs(60, 0)
        return (predict(x)[0].argmax(axis=1) == x["x"].argmax(axis=1))[:, None].astype(np.float64)

    def metric(self, rows):
        return float(rows.mean())

    def fingerprint(self):
        return "points"


def build():
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with torch.no_grad():
        module[0].weight.copy_(WEIGHT * torch.eye(4))
        module[0].bias.fill_(BIAS)
    return module


net = Workload("net", Model(build), Points())


class Pass(msgspec.Struct, frozen=True):
    by: float = 2.0
    version: ClassVar[int] = 1

    def resolve(self, target):
        return ""

    def fit(self, model, ctx):
        with LOG.open("a") as file:
            file.write(f"{type(self).__name__} {model[0].bias[0].item():g}\\n")
        with torch.no_grad():
            model[0].bias.zero_()  # a pass may change the model that it fits
        if self.by == 0:
            raise ValueError("by nothing")
        return Edits({"by": self.by}, {"by": np.array([self.by], np.float32)})


class Scale(Pass, frozen=True):
    def rebuild(self, model, edits):
        with torch.no_grad():
            for value in model[0].parameters():
                value.mul_(edits.data["by"])
        return model


class Shift(Pass, frozen=True):
    def rebuild(self, model, edits):
        with torch.no_grad():
            model[0].bias.add_(torch.from_numpy(edits.tensors["by"]))
        return model
"""
SUITE = """
workloads = ["net.py:net"]
runtimes  = ["pytorch", "onnxruntime"]
threads   = 1
processes = 1
measure   = { calls = 3, seconds = 0.0, warmup_seconds = 0.0 }

[[recipes]]
name   = "r"
passes = [%s]
"""
SCALE, SHIFT = '{ use = "net.py:Scale" }', '{ use = "net.py:Shift" }'


def project(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Return `folder` with the net's file in it; runs do their jobs in this process."""
    patch.setenv("PERFSUITE_CELL", "")
    patch.setenv("PERFSUITE_HOME", str(folder / "home"))
    patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    (folder / "net.py").write_text(NET)
    return folder


def run(folder: Path, *passes: str, out: str = "run", only: str = "*") -> tuple[Run, Judgement]:
    """Return a run of the suite whose recipe `r` has `passes`."""
    (folder / "suite.toml").write_text(SUITE % ", ".join(passes))
    return api.run(folder / "suite.toml", folder / out, only=only)[1:]


def builder(folder: Path, *passes: str, net: str = NET) -> VariantBuilder:
    """Return the builder of the cell `net/r/onnxruntime` of a project in `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "net.py").write_text(net)
    (folder / "suite.toml").write_text(SUITE % ", ".join(passes))
    suite, cells, _ = load_suite(folder / "suite.toml", ["net/r/onnxruntime/*"])
    job = first_job(suite, cells[0])
    runtime = artifacts.load_runtime(job.runtime)
    workload = load_workload(job.reference)
    return VariantBuilder(workload, job, steps_of(job, runtime), runtime, Cache())

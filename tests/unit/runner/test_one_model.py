"""All cells of a workload are of the same weights, which its `build` may read from any file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_runs import here, names

from perfsuite import api
from perfsuite.domain.record import Line
from perfsuite.errors import Incomparable
from perfsuite.runner import schedule
from perfsuite.runner.job import Job
from perfsuite.store.journal import read

pytest.importorskip("torch")

NET = """
from pathlib import Path

import numpy as np

from perfsuite import Model, Task, Workload


class Points(Task):
    def inputs(self, batch, seed):
        return {"x": np.random.default_rng(seed).normal(size=(batch, 3)).astype(np.float32)}


def build():
    import torch

    net = torch.nn.Linear(3, 2)
    values = np.load(Path(__file__).with_name("weights.npy"))
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(values))
        net.bias.zero_()
    return net.eval()


net = Workload("net", Model(build), Points())
"""
SUITE = """
workloads = ["net.py:net"]
runtimes  = ["pytorch", "pytorch-channels-last"]
threads   = 1
processes = 1
measure   = { calls = 2, seconds = 0.0, warmup_seconds = 0.0 }
"""
FIRST = "net/fp32/pytorch/cpu/b1"


def test_weights_that_are_replaced_between_two_cells_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    weights, whole = tmp_path / "weights.npy", np.arange(6, dtype=np.float32).reshape(2, 3)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "suite.toml").write_text(SUITE)
    np.save(weights, whole)

    def execute(job: Job) -> Line:
        line = here(job)
        if (job.cell.key, job.kind) == (FIRST, "prepare"):
            np.save(weights, whole + 1.0)
        return line

    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
    for resume in (False, True):
        with pytest.raises(Incomparable, match="the weights of net have changed since its first"):
            api.run(tmp_path / "suite.toml", tmp_path / "run", resume=resume)
        assert names(read(tmp_path / "run")[1]) == [(FIRST, "prepare", None)]
    np.save(weights, whole)
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    api.run(tmp_path / "suite.toml", tmp_path / "run", resume=True)
    lines = read(tmp_path / "run")[1]
    assert {line.status for line in lines} == {"ok"}
    assert len({line.model for line in lines if line.job == "prepare"}) == 1

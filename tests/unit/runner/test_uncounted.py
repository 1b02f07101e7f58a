"""What a model runs that has no formula: from the artifact to the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import NET, here

from perfsuite import api
from perfsuite.runner import processes
from perfsuite.store.journal import read

pytest.importorskip("torch")

FOURIER = """

import torch
from torch import fft, nn


class Fourier(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 12)

    def forward(self, x):
        return self.linear(fft.rfft(x).abs())


net = Workload("net", Model(build=lambda: Fourier().eval()), Numbers())
"""
SUITE = """
workloads = ["net.py:net"]
runtimes  = ["pytorch"]
threads   = 1
processes = 2
measure   = { calls = 3, seconds = 0.0, warmup_seconds = 0.0 }

[[budgets]]
name   = "few"
metric = "macs"
max    = 1000
"""


def test_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(processes, "run_job_in_process", lambda job, **_: here(job))
    (tmp_path / "net.py").write_text(NET + FOURIER)
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE)
    found = api.run(suite, tmp_path / "run")
    (prepared,) = (line for line in read(tmp_path / "run")[1] if line.job == "prepare")
    assert prepared.status == "ok", prepared.error
    assert prepared.uncounted == {"fft_r2c": 1}
    (record,) = found.run.records.values()
    assert (record.status, record.uncounted) == ("ok", {"fft_r2c": 1})
    assert record.values["macs"] == (36.0,)  # 3 frequencies to 12 values
    (verdict,) = found.judgement.verdicts
    assert (verdict.status, verdict.uncounted) == ("inconclusive", ("1 fft_r2c",))
    assert "no formula for 1 fft_r2c: fp32/pytorch/cpu/b1 (at least 36)" in (
        api.report(tmp_path / "run", "md").replace("\\", "")
    )

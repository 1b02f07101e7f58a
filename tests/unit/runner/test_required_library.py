"""A suite that requires oneDNN of two nets in PyTorch, one of which turns it off."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import here

from perfsuite import api
from perfsuite.runner import schedule

NETS = """
import numpy as np

from perfsuite import Model, Task, Workload


class Pictures(Task):
    def inputs(self, batch, seed):  # large enough for oneDNN by PyTorch's own rule
        return {"x": np.random.default_rng(seed).random((batch, 3, 96, 96), np.float32)}


def build(with_onednn=True):
    import torch

    torch.manual_seed(0)
    torch.backends.mkldnn.enabled = with_onednn
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()).eval()


def build_without():
    return build(with_onednn=False)


fast = Workload("fast", Model(build), Pictures())
slow = Workload("slow", Model(build_without), Pictures())
"""
SUITE = """
workloads = ["nets.py:fast", "nets.py:slow"]
runtimes  = ["pytorch"]
threads   = 1
processes = 1
measure   = { calls = 3, seconds = 0.0, warmup_seconds = 0.0 }

[[require]]
library = "onednn"
"""


def test_the_net_that_turns_it_off_fails_and_the_other_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch is built without oneDNN")
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", True)  # and put back afterwards
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "suite.toml").write_text(SUITE)
    _, run, judgement = api.run(tmp_path / "suite.toml", tmp_path / "run")
    fast, slow = (run.records[cell.id] for cell in run.header.cells)
    assert (fast.status, slow.status) == ("ok", "failed")
    assert slow.error is not None and slow.error.kind == "SilentFallback"
    assert "oneDNN is required, and nothing shows that oneDNN was used: " in slow.error.message
    assert "torch.backends.mkldnn.enabled = False" in slow.error.message
    required = [one for one in judgement.verdicts if one.check == "require"]
    assert [one.status for one in required] == ["pass", "failed"]
    assert required[0].reason is not None
    assert required[0].reason.text == "oneDNN computed 1 of 1 layers (observed)"
    assert judgement.exit_code == 1

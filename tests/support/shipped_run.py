"""A small run of a user's net on two engines, its artifacts kept, from which cells are shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_runs import here
from onnx_net import CLASSES, SIDE, expected, save, weights

from perfsuite import api
from perfsuite.judged_run import JudgedRun
from perfsuite.runner import schedule

MODELS = '''
"""A net of the user's own, which is an ONNX file, with pictures that it is judged by."""

from pathlib import Path

import numpy as np
from onnx_net import SIDE
from shipped_run import prepared, stored

from perfsuite import Model, Preprocessing, Task, Workload


class Pictures(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        chosen = np.random.default_rng(seed).integers(0, 130, batch)
        return {"x": prepared(stored("test")[0][chosen])}

    def calibration(self, samples):
        yield {"x": prepared(stored("calibration")[0][:samples])}

    def rows(self, predict, samples=None):
        pictures, labels = (array[:samples] for array in stored("test"))
        answers = predict({"x": prepared(pictures)})[0].argmax(1)
        return (answers == labels).astype(np.float64)[:, None]

    def metric(self, rows):
        return float(rows.mean())

    def preprocessing(self):
        return Preprocessing(SIDE, SIDE, mean=(0.5,), std=(0.25,), input="x")


net = Workload("net", Model(onnx=Path(__file__).with_name("net.onnx")), Pictures())
'''
SUITE = """
workloads = ["../models/my_models.py:net"]
runtimes  = ["onnxruntime", "openvino"]
threads   = 1
processes = 2
measure   = { calls = 3, seconds = 0.0, warmup_seconds = 0.0 }

[[recipes]]
name   = "int8"
passes = [{ use = "int8", calibration_samples = 40 }]

[[budgets]]
name        = "any speed is enough"
metric      = "latency_s"
cell        = "net/int8/*"
against     = "fp32/onnxruntime"
min_speedup = 1e-12

[[budgets]]
name            = "may lose 50 points"
metric          = "top1"
cell            = "net/int8/*"
against         = "net/fp32/onnxruntime/*"
max_drop_points = 50.0
"""
CELL = "net/int8/{}/cpu/b1"


def prepared(pictures: np.ndarray) -> np.ndarray:
    return ((pictures / 255 - 0.5) / 0.25).astype(np.float32).transpose(0, 3, 1, 2)


def stored(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures and labels of a split; one in four labels is not what the net answers."""
    rng = np.random.default_rng({"test": 1, "calibration": 2}[split])
    pictures = rng.integers(0, 256, (130, SIDE, SIDE, 3)).astype(np.uint8)
    labels = expected(prepared(pictures), weights()).argmax(1)
    labels[::4] = (labels[::4] + 1) % CLASSES
    return pictures, labels


def run_here(suite: Path, out: Path, home: Path, **options: bool) -> JudgedRun:
    """Run a suite with its jobs done in this process, and a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFSUITE_HOME", str(home))
        patch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
        return api.run(suite, out, **options)


def made(folder: Path) -> Path:
    """Make the run in `folder`; return its own folder, `run`."""
    (folder / "models").mkdir()
    (folder / "suites").mkdir()
    (folder / "models" / "my_models.py").write_text(MODELS)
    save(folder / "models" / "net.onnx", weights())
    suite = folder / "suites" / "mine.toml"
    suite.write_text(SUITE)
    judged = run_here(suite, folder / "run", folder / "home", keep_artifacts=True)
    assert judged.judgement.exit_code == 0, judged.judgement
    return folder / "run"

"""Models that do not run whole on an engine: their stages do, and every result says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import here

from perfsuite import api
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import SPLIT, Record, Run
from perfsuite.runner import schedule
from perfsuite.store.journal import read

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

NET = """
import numpy as np
import torch
from torch import nn

from perfsuite import Model, Stage, Task, Workload
from perfsuite.errors import Unsupported
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime


class Points(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        rng = np.random.default_rng([seed, batch])
        return {"x": rng.normal(size=(batch, 4)).astype(np.float32)}

    def calibration(self, samples):
        yield self.inputs(samples, 1)

    def rows(self, predict, samples=None):
        x = self.inputs(60, 0)
        return (predict(x)[0].argmax(axis=1) == x["x"].argmax(axis=1))[:, None].astype(np.float64)

    def metric(self, rows):
        return float(rows.mean())


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.then = nn.Linear(4, 8), nn.Linear(8, 4)

    def turned(self, x):
        rows = [row if row.sum() > 0 else -row for row in x]  # no graph can follow this
        return torch.stack(rows)

    def forward(self, x):
        return self.then(self.turned(self.first(x)).relu())


class Plain(Branching):
    def turned(self, x):
        return x


STAGES = (Stage("first", ("first",)), Stage("turn", ("turned",)), Stage("then", ("then",)))
net = Workload("net", Model(Branching, stages=STAGES), Points())
bare = Workload("bare", Model(Branching), Points())
plain = Workload("plain", Model(Plain, stages=STAGES), Points())


class Picky(OnnxRuntime):
    name = "picky"

    def build(self, variant, manifest, folder):
        if manifest.inputs[0].name == "x":
            (folder / "half").write_text("")
            raise Unsupported("picky: no operator Relu")
        super().build(variant, manifest, folder)
"""
SUITE = """
workloads = ["net.py:%s"]
runtimes  = [%s]
threads   = 1
processes = 1
measure   = { calls = 3, seconds = 0.0, warmup_seconds = 0.0 }
"""
INT8 = """
[[recipes]]
name   = "int8"
passes = [{ use = "int8", calibration_samples = 8 }]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    (tmp_path / "net.py").write_text(NET)
    return tmp_path


def run(folder: Path, net: str, *runtimes: str, more: str = "") -> tuple[Run, Judgement]:
    named = ", ".join(f'"{runtime}"' for runtime in runtimes)
    (folder / "suite.toml").write_text(SUITE % (net, named) + more)
    return api.run(folder / "suite.toml", folder / "run")[1:]


def by_runtime(found: Run) -> dict[str, Record]:
    return {record.cell.runtime.lower(): record for record in found.records.values()}


def test_a_model_that_does_not_export_whole_runs_in_pieces(folder: Path) -> None:
    found, judgement = run(folder, "net", "pytorch", "onnxruntime", "openvino")
    assert judgement.exit_code == 0
    records = by_runtime(found)
    assert SPLIT not in records["pytorch"].labels
    for runtime in ("onnxruntime", "openvino"):
        record = records[runtime]
        assert SPLIT in record.labels
        assert record.accuracy is not None and records["pytorch"].accuracy is not None
        assert record.accuracy.value == records["pytorch"].accuracy.value
        assert record.breakdown is not None and record.evidence is not None
        rows = {row.name: row for row in record.breakdown.rows}
        assert list(rows) == ["first", "turn", "then", "engine overhead", "unattributed"]
        assert all(rows[name].time_s > 0 for name in ("first", "turn", "then"))
        assert rows["unattributed"].time_s == 0
        assert (rows["first"].macs, rows["first"].parameters) == (32, 40)
        assert sum(row.time_s for row in rows.values()) == pytest.approx(record.breakdown.total_s)
        where = {item.name: item.value for item in record.evidence.items if item.about == "stage"}
        assert where == {"first": runtime, "then": runtime}
        why = [item.value for item in record.evidence.items if item.name == "split"]
        assert len(why) == 1 and "the exported graph fails on an input" in why[0]


def test_parity_is_checked_in_pieces_too(folder: Path) -> None:
    run(folder, "net", "onnxruntime")
    _, lines, _ = read(folder / "run")
    prepared = next(line for line in lines if line.job == "prepare")
    assert prepared.parity and max(prepared.parity.values()) < 1e-5


def test_an_engine_that_refuses_the_whole_graph_gets_its_stages(folder: Path) -> None:
    found, judgement = run(folder, "plain", "onnxruntime", "net.py:Picky")
    assert judgement.exit_code == 0
    records = by_runtime(found)
    assert SPLIT not in records["onnxruntime"].labels
    record = records["picky"]
    assert SPLIT in record.labels and record.evidence is not None
    assert [item.value for item in record.evidence.items if item.name == "split"] == [
        "picky: no operator Relu"
    ]


def test_without_stages_it_is_an_error_that_says_so(folder: Path) -> None:
    found, judgement = run(folder, "bare", "onnxruntime")
    assert judgement.exit_code != 0
    error = by_runtime(found)["onnxruntime"].error
    assert error is not None and "with stages declared (perfsuite.Stage)" in error.message


def rounded(found: Run, runtime: str) -> Record:
    return next(
        one
        for one in found.records.values()
        if one.cell.recipe == "int8" and one.cell.runtime.lower() == runtime
    )


def test_a_graph_pass_changes_each_piece_by_what_the_model_gives_to_it(folder: Path) -> None:
    found, _ = run(folder, "net", "onnxruntime", "openvino", more=INT8)
    for runtime in ("onnxruntime", "openvino"):
        record = rounded(found, runtime)
        assert record.status == "ok" and record.error is None
        assert SPLIT in record.labels and record.evidence is not None
        layers = {one.layer.rpartition("/")[0]: one.precision for one in record.evidence.layers}
        assert layers == {"first": "int8", "then": "int8"}, runtime
        assert record.likeness and record.likeness[0].cosine > 0.99


def test_an_engine_that_refuses_the_whole_graph_gets_quantized_stages(folder: Path) -> None:
    found, _ = run(folder, "plain", "net.py:Picky", more=INT8)
    record = rounded(found, "picky")
    assert record.status == "ok" and record.error is None
    assert SPLIT in record.labels and record.evidence is not None
    assert {one.precision for one in record.evidence.layers} == {"int8"}

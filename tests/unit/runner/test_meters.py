"""A meter of one file beside a real run: judged, printed and gated, at last without the file."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from fake_runs import INT8, Project, here

from perfsuite import api
from perfsuite.domain.metrics import Metric
from perfsuite.report import comparison_document, print_comparison, print_run
from perfsuite.runner import processes
from perfsuite.store.runs import load_run

METER = """
import json
import os
from pathlib import Path

from perfsuite import Metric, Unavailable

HERE = Path(__file__).parent


class Scripted:
    metrics = (Metric("energy_j", "J", "energy", floor=0.05),)

    def start(self, phase, device):
        if not (HERE / "counter.json").exists():
            raise Unavailable("this machine has no energy counter")
        self.before_j = 100.0

    def stop(self, phase, calls):
        if phase == "load":
            return {}
        script = json.loads((HERE / "counter.json").read_text())
        after_j = self.before_j + calls * script[os.environ["PERFSUITE_CELL"]]
        return {"energy_j": (after_j - self.before_j) / calls}
"""
MORE = """
[[budgets]]
name = "at most"
metric = "energy_j"
cell = "*/int8/*"
max = 0.2

[[budgets]]
name = "less than fp32"
metric = "energy_j"
cell = "*/int8/*"
against = "*/fp32/*"
min_speedup = 3.0
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    found = Project(tmp_path, monkeypatch)
    monkeypatch.setattr(processes, "run_job_in_process", lambda job, **_: here(job))
    (tmp_path / "energy.py").write_text(METER)
    found.write(MORE)
    text = found.suite.read_text()
    found.suite.write_text('meters = ["memory", "energy.py:Scripted"]\n' + text)
    counts(found, 0.1)
    return found


def counts(project: Project, int8_j: float) -> None:
    script = {"net/fp32/fake/cpu/b1": 0.4, INT8: int8_j}
    (project.folder / "counter.json").write_text(json.dumps(script))


def test_budgets_tables_and_files(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    found = api.run(project.suite, project.out)
    assert found.judgement.exit_code == 0
    assert {one.budget for one in found.judgement.verdicts} == {"at most", "less than fp32"}
    assert found.run.header.metrics == (Metric("energy_j", "J", "energy", floor=0.05),)
    assert found.run.records[found.run.header.cells[1].id].values["energy_j"] == pytest.approx(
        (0.1, 0.1)
    )
    (project.folder / "energy.py").unlink()

    from rich.console import Console

    print_run(Console(width=150), found.run, found.judgement)
    shown = capsys.readouterr().out
    table = api.report(project.out, "md")
    for text in (shown, table):
        assert "Also measured" in text
        assert "energy" in text
        assert "100 mJ" in text
        assert "400 mJ" in text
    rows = list(csv.DictReader(io.StringIO(api.report(project.out, "csv"))))
    assert [float(one["energy_j"]) for one in rows] == pytest.approx([0.4, 0.1])
    document = json.loads(api.report(project.out, "json"))
    (energy,) = [
        one for one in document["rows"][1]["other_metrics"] if one["metric"]["name"] == "energy_j"
    ]
    assert energy["metric"]["unit"] == "J"
    assert energy["value"] == pytest.approx(0.1)


def test_gate_and_comparison_against_a_baseline_without_the_file(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = project.folder / "baseline"
    api.run(project.suite, baseline)
    counts(project, 0.15)
    api.run(project.suite, project.out)
    (project.folder / "energy.py").unlink()
    gated = api.gate(project.out, baseline).judgement
    assert gated.exit_code == 1
    assert {(one.cell, one.metric) for one in gated.verdicts if one.status == "regressed"} == {
        (INT8, "energy_j")
    }
    comparison = api.compare(baseline, project.out)
    ratio = comparison.changes[1].other_ratios["energy_j"]
    assert ratio.value == pytest.approx(1.5)
    assert comparison_document(comparison).changes[1].other_ratios["energy_j"] == ratio
    assert comparison.changes[0].other_ratios["energy_j"].value == pytest.approx(1.0)

    from rich.console import Console

    print_comparison(Console(width=150), comparison)
    assert f"{INT8}: energy_j: +50 %" in capsys.readouterr().out


def test_without_a_counter_there_is_a_label_and_no_value(project: Project) -> None:
    (project.folder / "counter.json").unlink()
    found = api.run(project.suite, project.out)
    record = load_run(project.out).records[found.run.header.cells[1].id]
    assert record.status == "ok"
    assert "no Scripted: this machine has no energy counter" in record.labels
    assert "energy_j" not in record.values
    assert len(record.values["run_peak_bytes"]) == 2 or any(
        label.startswith("no memory") for label in record.labels
    )
    assert {one.status for one in found.judgement.verdicts} == {"missing"}

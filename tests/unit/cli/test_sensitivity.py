"""`perfsuite sensitivity`: on the scripted engine, and a tiny net and a file on both engines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from fake_runs import here
from outlier_net import outlier_net, pictures
from sensitivity_net import in_this_process, write_project

import perfsuite
from perfsuite import judged_run
from perfsuite.cli import main
from perfsuite.config import sensitivity_suite
from perfsuite.domain.record import Line
from perfsuite.domain.suite import Measure
from perfsuite.judge.sensitivity import sensitivities
from perfsuite.runner import schedule
from perfsuite.runner.job import Job
from perfsuite.store.journal import read

NET = """
from collections import OrderedDict

import numpy as np

from perfsuite import Model, Task, TrainingSet, Workload


class Pictures(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        rng = np.random.default_rng([seed, batch])
        return {"x": rng.normal(size=(batch, 3, 8, 8)).astype(np.float32)}

    def calibration(self, samples):
        yield self.inputs(samples, 1)

    def train(self):
        x = self.inputs(64, 2)["x"]
        return TrainingSet(x, (x.mean((1, 2, 3)) > 0).astype(np.int64), lambda batch, rng: batch)

    def validation(self, predict, samples=None):
        x = self.inputs(64, 3)
        right = predict(x)[0].argmax(1) == (x["x"].mean((1, 2, 3)) > 0)
        return right[:, None].astype(np.float64)

    def metric(self, rows):
        return float(rows.mean())


def build():
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(
        stem=nn.Conv2d(3, 16, 3), relu=nn.ReLU(), body=nn.Conv2d(16, 16, 3),
        pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), head=nn.Linear(16, 2),
    )).eval()


net = Workload("net", Model(build), Pictures())
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(tmp_path)
    in_this_process(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sensitivity_suite, "PROCESSES", 2)
    monkeypatch.setattr(
        sensitivity_suite, "MEASURE", Measure(calls=3, seconds=0.0, warmup_seconds=0.2)
    )
    return tmp_path


def asked(*arguments: object) -> Result:
    words = ["sensitivity", *(str(one) for one in arguments), "--threads", "1"]
    return CliRunner().invoke(main, words)


FAKE = ("net.py:net", "--runtime", "fake", "--by", "stage", "-o", "out")


def test_it_says_how_long_before_it_starts() -> None:
    done = asked(*FAKE)
    assert done.exit_code == 0, done.stderr
    first, second, *_ = done.stderr.splitlines()
    assert first == "asking which parts of net.py:net int8 can change"
    assert second.startswith("2 stages to compress alone, each measured in 2 processes: about ")


def test_json_has_the_parts_in_a_field_of_their_own() -> None:
    found = json.loads(asked(*FAKE, "--json").stdout)["sensitivity"]
    assert [one["name"] for one in found] == ["head", "body"]
    assert found[0]["lost_per_ms"] is None
    assert found[1]["lost_per_ms"]["value"] == pytest.approx(0.25)
    assert found[1]["saved_s"]["value"] == pytest.approx(0.004)


def test_what_was_cut_short_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Job] = []

    def interrupted(job: Job) -> Line:
        if len(done) == 7:
            raise KeyboardInterrupt
        done.append(job)
        return here(job)

    def work(how: object) -> None:
        monkeypatch.setattr(
            judged_run,
            "work_off",
            lambda j, o, **k: schedule.work_off(j, o, how, **k),  # type: ignore[arg-type]
        )

    monkeypatch.setattr("sys.argv", ["perfsuite", "sensitivity", *FAKE])
    work(interrupted)
    cut = asked(*FAKE)
    assert cut.exit_code == 130
    assert f"perfsuite sensitivity {' '.join(FAKE)} --resume" in cut.stderr
    before = read(Path("out"))[1]
    work(here)
    whole = asked(*FAKE, "--resume")
    assert whole.exit_code == 0, whole.stderr
    assert read(Path("out"))[1][: len(before)] == before
    assert "0.25 (0.0625 to 0.502)" in whole.stdout


def test_another_question_does_not_go_on_with_it() -> None:
    assert asked(*FAKE).exit_code == 0
    other = asked(*FAKE, "--layers", "head", "--resume")
    assert other.exit_code == 2
    assert "have changed since this run began" in other.stderr


def test_what_is_wrong_is_told_before_anything_is_run() -> None:
    for arguments, message in (
        (("net.py:nte",), "nte"),
        (("net.py:net", "--pass", "int9"), "unknown pass 'int9'; did you mean 'int8'?"),
        (("net.py:net", "--by", "stage", "--layers", "haed"), "did you mean 'head'?"),
        (("net.py:net",), "no layer is left that could be compressed alone"),
    ):
        done = asked(*arguments, "--runtime", "fake", "-o", "out")
        assert done.exit_code == 2, done.output
        assert message in done.stderr
    assert not Path("out").exists()


def test_a_tiny_net_on_onnxruntime(project: Path) -> None:
    """INT8 and pruning of one layer, on validation samples: nothing is trained."""
    (project / "tiny.py").write_text(NET)
    judged = perfsuite.sensitivity(
        "tiny.py:net",
        "out",
        passes=["int8", "prune"],
        runtime="onnxruntime",
        layers="body",
        threads=1,
    )
    assert judged.exit_code == 0, judged.judgement
    parts = sensitivities(judged.run)
    assert sorted((one.use, one.name) for one in parts) == [("int8", "body"), ("prune", "body")]
    assert all(one.status == "ok" and one.metric == "top1" for one in parts)
    assert all(one.points_lost is not None and one.saved_s is not None for one in parts)
    records = {one.cell.recipe: one for one in judged.run.records.values()}
    widths = {one.layer: one.after for one in records["prune@body"].widths}
    assert widths == {"stem": 16, "body": 8, "head": 2}
    assert 0.0 < (records["int8@body"].int8_share or 0.0) < 1.0
    assert "| prune | body |" in judged.report("md")
    assert "Not alone by prune: 1 layer (head): its channels are an output of the model" in (
        judged.report("md")
    )


def test_a_file_without_labels_on_openvino(project: Path) -> None:
    """The layer that loses the answers is the worst by the error of the outputs."""
    onnx.save(outlier_net(), project / "net.onnx")
    np.savez(project / "samples.npz", x=pictures(64))
    given = ("net.onnx", "--runtime", "openvino", "--samples", "samples.npz", "-o", "out")
    done = asked(*given, "--layers", "body.b*")
    assert done.exit_code == 0, done.output
    assert "error per ms" in done.stdout
    assert "there are no validation samples, or no metric" in done.stdout.replace("\n", " ")
    document = json.loads(CliRunner().invoke(main, ["report", "out", "--format", "json"]).stdout)
    errors = {one["name"]: one["error_percent"] for one in document["sensitivity"]}
    assert set(errors) == {"body.bad", "body.b"}
    assert errors["body.bad"] > 10 * errors["body.b"]
    jobs = {line.job for line in read(Path("out"))[1]}
    assert jobs == {"prepare", "inspect", "measure"}

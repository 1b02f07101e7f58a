"""A distilled net through a whole run: it is built, rounded, broken down and told of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fake_runs import here

from perfsuite import api
from perfsuite.config.loading import load_suite
from perfsuite.domain.model import Stage
from perfsuite.domain.record import Replacement
from perfsuite.errors import ConfigError
from perfsuite.runner import schedule
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.changes import Changes
from perfsuite.runner.build.steps import steps_of
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.job import first_job
from perfsuite.store.cache import Cache
from perfsuite.workloads.table import load_workload

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

NET = """
from pathlib import Path

import numpy as np
import torch
from torch import nn

from perfsuite import Model, Stage, Task, TrainingSet, Workload


class Noise(Task):
    metric_name = "top1"

    def inputs(self, batch, seed):
        rng = np.random.default_rng([seed, batch])
        return {"image": rng.normal(size=(batch, 3, 8, 8)).astype(np.float32)}

    def calibration(self, samples):
        yield self.inputs(samples, 1000)

    def train(self):
        with Path(__file__).with_name("trained").open("a") as file:
            file.write("x")
        return TrainingSet(
            self.inputs(16, 2000)["image"], np.arange(16) % 5, lambda batch, rng: batch
        )

    def rows(self, predict, samples=None):
        return predict(self.inputs(20, 1))[0].argmax(axis=1)[:, None] == np.arange(20)[:, None] % 5

    def metric(self, rows):
        return float(rows.mean())

    def fingerprint(self):
        return "noise"


def layers(width):
    body = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Flatten())
    return body, nn.Linear(64 * width, 5)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.scores = layers(16)

    def forward(self, image):
        return self.scores(self.trunk(image))


def build():
    torch.manual_seed(0)
    return Net()


net = Workload(
    "net", Model(build, stages=(Stage("trunk", ("trunk",)), Stage("scores", ("scores",)))), Noise()
)
"""
STUDENTS = """
from net import Net, layers


def small():
    net = Net()
    net.trunk, net.scores = layers(4)
    return net
"""
TRAIN = '{ optimizer = "sgd", epochs = 1, batch = 8, bf16 = false, teacher = 0.5 }'
SUITE = f"""
workloads = ["net.py:net"]
runtimes  = ["onnxruntime"]
threads   = 1
processes = 1
measure   = {{ calls = 3, seconds = 0.0, warmup_seconds = 0.0 }}

[[recipes]]
name   = "small"
passes = [{{ use = "distill", student = "my_models.py:small", train = {TRAIN} }}]

[[recipes]]
name   = "small-int8"
from   = "small"
passes = [{{ use = "int8", calibration_samples = 8 }}]

[[recipes]]
name   = "timed"
passes = [{{ use = "distill", student = "vgg-narrow", untrained = true }}]
"""


# 28 w + (64 w + 1) 5 parameters of a net whose first layer has w channels.
SMALL = Replacement("small", before=348 * 16 + 5, after=348 * 4 + 5)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    return written(tmp_path / "project")


def written(folder: Path) -> Path:
    folder.mkdir()
    (folder / "net.py").write_text(NET)
    (folder / "my_models.py").write_text(STUDENTS)
    (folder / "suite.toml").write_text(SUITE)
    return folder


def builder(folder: Path, recipe: str = "small") -> VariantBuilder:
    suite, cells, _ = load_suite(folder / "suite.toml", [f"net/{recipe}/*"])
    job = first_job(suite, cells[0])
    runtime = artifacts.load_runtime(job.runtime)
    return VariantBuilder(
        load_workload(job.reference), job, steps_of(job, runtime), runtime, Cache()
    )


def test_a_distilled_net_is_built_rounded_broken_down_and_told_of(folder: Path) -> None:
    done = api.run(folder / "suite.toml", folder / "run", only="net/small*")
    records = {record.cell.recipe: record for record in done.run.records.values()}
    assert [one.error for one in records.values()] == [None] * 2
    assert (folder / "trained").read_text() == "x", "one training for both recipes"
    for record in records.values():
        assert record.replaced == SMALL
        assert record.widths == ()
        assert "untrained" not in record.labels
        assert record.breakdown is not None
        assert [row.name for row in record.breakdown.rows][:2] == ["trunk", "scores"]
    assert records["small-int8"].int8_share == 1.0
    page = done.report("md")
    assert "- small, small-int8: replaced by small, 1,397 parameters for 5,573\n" in page


def test_a_student_of_the_table_has_stages_of_its_own_and_says_that_it_is_untrained(
    folder: Path,
) -> None:
    made = builder(folder, "timed")
    assert made.stages() == (
        Stage("features", ("features",)),
        Stage("classifier", ("flatten", "classifier")),
    )
    replacement = Replacement("vgg-narrow", before=SMALL.before, after=3_683_557)
    assert made.changes() == Changes((), replacement, ("untrained",))
    assert not (folder / "trained").exists()


def test_its_key_follows_the_students_source_and_not_its_place(
    folder: Path, tmp_path: Path
) -> None:
    first = builder(folder)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    assert builder(elsewhere).edits_key == first.edits_key
    assert artifacts.sources_of(builder(elsewhere).job) == artifacts.sources_of(first.job)
    with (elsewhere / "my_models.py").open("a") as file:
        file.write("# another net\n")
    assert builder(elsewhere).edits_key != first.edits_key
    assert artifacts.sources_of(builder(elsewhere).job) != artifacts.sources_of(first.job)
    assert builder(folder, "timed").edits_key == builder(elsewhere, "timed").edits_key


def test_a_changed_student_is_noticed_where_a_run_goes_on(folder: Path) -> None:
    suite = folder / "suite.toml"
    api.run(suite, folder / "run", only="net/small/*")
    with (folder / "my_models.py").open("a") as file:
        file.write("# another net\n")
    with pytest.raises(Exception, match=r"my_models\.py has changed since this run began"):
        api.run(suite, folder / "run", only="net/small/*", resume=True)


def test_a_missing_student_is_told_where_it_stands(folder: Path) -> None:
    (folder / "suite.toml").write_text(SUITE.replace(":small", ":smal"))
    with pytest.raises(
        ConfigError, match=r"suite.toml: recipes\[0\].passes\[0\]: .*did you mean 's"
    ):
        api.run(folder / "suite.toml", folder / "run")

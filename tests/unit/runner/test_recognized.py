"""Cached cells of perfsuite's own workloads are recognized by files, and nothing stale ever is."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from perfsuite import plugins
from perfsuite.config.loading import load_suite
from perfsuite.domain.record import Line
from perfsuite.runner.build import variants
from perfsuite.runner.forks import recognizable
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.processes import Processes
from perfsuite.runner.worker import run_job
from perfsuite.store.cache import Cache
from perfsuite.workloads.table import WORKLOADS, weights_of
from perfsuite.workloads.zoo import digits, weights

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("sklearn")

SUITE = """
workloads = ["vgg-digits"]
runtimes  = ["onnxruntime"]
threads   = 1
evaluate  = { samples = 10 }
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return the prepare job of a cell; its weights are a copy that tests may change."""
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    copied = tmp_path / "weights"
    copied.mkdir()
    for file in weights.FOLDER.glob("vgg-digits.*"):
        shutil.copy(file, copied)
    monkeypatch.setattr(weights, "FOLDER", copied)
    (tmp_path / "suite.toml").write_text(SUITE)
    suite, cells, _ = load_suite(tmp_path / "suite.toml")
    return first_job(suite, cells[0])


def recognized(job: Job) -> Line:
    """Return the line of a job that may make nothing."""
    return run_job(msgspec.structs.replace(job, cached_only=True))


def refused(job: Job) -> bool:
    """Tell whether a job that may make nothing finds that something is to be made."""
    error = recognized(job).error
    return error is not None and error.kind == "NotCached"


def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each net that is built."""
    made: list[str] = []
    net = digits.net

    def counted() -> object:
        made.append("net")
        return net()

    monkeypatch.setattr(digits, "net", counted)
    return made


def test_a_cached_cell_is_recognized_without_its_model(
    job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert refused(job)
    assert not (tmp_path / "home" / "cache").exists()
    line = run_job(job)
    assert (line.status, line.cached) == ("ok", False)
    made = builds(monkeypatch)
    again = recognized(job)
    assert (again.status, again.cached, again.artifact) == ("ok", True, line.artifact)
    assert (again.measurements, again.parity) == (line.measurements, line.parity)
    assert not made

    folder = Cache().get("artifact", line.artifact)
    fields = {"kind": "evaluate", "artifact": str(folder), "artifact_key": line.artifact}
    asked = msgspec.structs.replace(job, rows=str(tmp_path / "rows.npy"), **fields)
    assert refused(asked)
    answered = run_job(asked)
    again = recognized(asked)
    assert (again.status, again.cached) == ("ok", True)
    assert again.accuracies == answered.accuracies
    assert not made


def test_where_nothing_new_can_be_written_the_rest_is_still_found(job: Job, tmp_path: Path) -> None:
    line = run_job(job)
    models = tmp_path / "home" / "cache" / "model"
    shutil.rmtree(models)
    models.write_text("no folder")
    again = run_job(job)
    assert (again.status, again.cached, again.artifact) == ("ok", True, line.artifact)


def test_the_key_is_that_of_the_module_itself(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    line = run_job(job)
    monkeypatch.setattr(variants, "weights_of", lambda reference: None)
    assert run_job(job).artifact == line.artifact


@pytest.mark.parametrize("what", ["weights", "sources", "versions"])
def test_what_may_change_the_model_has_it_built_again(
    job: Job, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    line = run_job(job)
    if what == "weights":
        path = weights.FOLDER / "vgg-digits.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"0")
    elif what == "sources":
        monkeypatch.setattr(variants, "own_digest", lambda: "another")
    else:
        monkeypatch.setattr(variants, "built_versions", lambda: iter(["torch 99"]))
    assert refused(job)
    if what != "weights":  # the module is the same in truth, and so is its artifact
        again = run_job(job)
        assert (again.artifact, again.cached) == (line.artifact, True)


def test_perfsuites_digest_follows_its_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(plugins, "_package_digest", lambda name: asked.append(name) or "digest")
    assert plugins.own_digest() == "digest"
    assert asked == ["perfsuite"]


def test_whose_weights_are_one_known_file(job: Job) -> None:
    assert weights_of("vgg-digits") == weights.FOLDER / "vgg-digits.safetensors"
    assert weights_of("vgg16-cifar10") is None, "its file is not there"
    assert weights_of("../weights/vgg-digits") is None
    assert recognizable(job)
    for changed in ({"kind": "inspect"}, {"reference": "net.py:net"}, {"reference": "x.onnx"}):
        assert not recognizable(msgspec.structs.replace(job, **changed))  # type: ignore[arg-type]


def test_every_workload_with_such_a_file_builds_from_it_alone() -> None:
    """The one detector without a file of its own takes a user's checkpoint, or random weights."""
    known = {name for name in WORKLOADS if weights_of(name) is not None}
    assert set(WORKLOADS) - known == {"faster-rcnn-resnet101"}


def test_what_is_not_cached_is_made(monkeypatch: pytest.MonkeyPatch, job: Job) -> None:
    from perfsuite.runner import processes

    tried: list[bool] = []

    def run(given: Job, **_: object) -> Line:
        tried.append(given.cached_only)
        return run_job(given)

    monkeypatch.setattr(processes, "run_job_in_process", run)
    with Processes(lambda key, text: None) as found:
        assert found.execute(job).cached is False
        assert found.execute(job).cached is True
    assert tried == [True, False, True]

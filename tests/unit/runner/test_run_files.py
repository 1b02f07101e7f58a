"""The files of a run: known by their bytes in its header, and the same in all of its sittings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import FP32, INT8, Project, here, names
from onnx_net import CLASSES, SIDE, save, weights

from perfsuite import api
from perfsuite.config.reading import read_suite
from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Line
from perfsuite.errors import Incomparable
from perfsuite.runner import schedule
from perfsuite.runner.job import Job, first_job
from perfsuite.store.journal import read

SUITE = """
workloads = ["net.onnx"]
runtimes  = ["fake"]
threads   = 1
processes = 1
measure   = { calls = 5, seconds = 0.0, warmup_seconds = 0.0 }
samples   = { net = "samples.npz" }

[[recipes]]
name   = "int8"
passes = [{ use = "int8" }]
"""
PUT_BACK = (
    "since this run began, and all of a run is made of the same files; put it back as it was and "
    "go on with --resume, or start a new run in another folder (-o)"
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    return Project(tmp_path, monkeypatch)


@pytest.fixture
def onnx(project: Project) -> Project:
    """Return a project whose workload is an ONNX file with its weights beside it, and samples."""
    pytest.importorskip("onnx")
    project.suite.write_text(SUITE)
    replaced(project.folder, seed=0)
    x = np.zeros((8, 3, SIDE, SIDE), np.float32)
    np.savez(project.folder / "samples.npz", x=x, labels=np.arange(8) % CLASSES)
    return project


def replaced(folder: Path, seed: int) -> None:
    (folder / "net.bin").unlink(missing_ok=True)
    save(
        folder / "net.onnx",
        weights(seed),
        save_as_external_data=True,
        location="net.bin",
        size_threshold=0,
    )


def cut_short(project: Project, keep: int) -> bytes:
    """Make a whole run, keep its header and its first `keep` lines, and return them."""
    api.run(project.suite, project.out)
    file = project.out / "run.jsonl"
    kept = b"".join(file.read_bytes().splitlines(keepends=True)[: 1 + keep])
    file.write_bytes(kept)
    return kept


def refused(project: Project, what: str) -> None:
    before = (project.out / "run.jsonl").read_bytes()
    for _ in range(2):  # the second time shows that the folder's lock was let go
        with pytest.raises(Incomparable) as caught:
            api.run(project.suite, project.out, resume=True)
        assert str(caught.value) == f"{project.out}: {project.folder / what} {PUT_BACK}"
    assert (project.out / "run.jsonl").read_bytes() == before


def test_the_header_tells_runs_of_different_files_apart(onnx: Project) -> None:
    api.run(onnx.suite, onnx.out)
    found = read(onnx.out)[0].files
    wanted = [str(onnx.folder / name) for name in ("net.bin", "net.onnx", "samples.npz")]
    assert list(found) == wanted
    replaced(onnx.folder, seed=1)
    other = onnx.folder / "other"
    api.run(onnx.suite, other)
    assert {
        Path(path).name for path, digest in read(other)[0].files.items() if digest != found[path]
    } == {"net.bin"}


def test_it_names_a_file_once_and_by_its_bytes(project: Project) -> None:
    """The plug-in's file is that of both cells, and has one that it imports beside it."""
    net = project.folder / "net.py"
    net.write_text("import beside\n" + net.read_text())
    (project.folder / "beside.py").write_text("")
    api.run(project.suite, project.out)
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    found = read(project.out)[0].files
    assert list(found) == [str(project.folder / "beside.py"), str(net)]
    assert found[str(project.folder / "beside.py")] == nothing
    assert len(found[str(net)]) == 64


@pytest.mark.parametrize(
    ("name", "content"),
    [("net.onnx", b""), ("net.bin", b"other"), ("samples.npz", b"other")],
)
def test_a_resumed_run_refuses_a_file_that_has_changed(
    onnx: Project, name: str, content: bytes
) -> None:
    cut_short(onnx, keep=1)
    whole = (onnx.folder / name).read_bytes()
    (onnx.folder / name).write_bytes(whole + content if content else whole[:-1])
    refused(onnx, f"{name} has changed")
    (onnx.folder / name).write_bytes(whole)
    api.run(onnx.suite, onnx.out, resume=True)
    assert {line.status for line in onnx.lines()} == {"ok"}


def test_a_file_that_is_gone_is_told_as_that(onnx: Project) -> None:
    cut_short(onnx, keep=1)
    (onnx.folder / "net.bin").unlink()
    refused(onnx, "net.bin is gone")


def test_a_resumed_run_refuses_a_plug_in_that_has_changed(project: Project) -> None:
    net = project.folder / "net.py"
    net.write_text("import beside\n" + net.read_text())
    beside = project.folder / "beside.py"
    beside.write_text("")
    cut_short(project, keep=2)
    beside.write_text("# changed\n")
    refused(project, "beside.py has changed")
    beside.write_text("")
    api.run(project.suite, project.out, resume=True)
    assert {line.status for line in project.lines()} == {"ok"}


def test_a_module_that_takes_the_place_of_another_is_new(project: Project) -> None:
    cut_short(project, keep=2)
    (project.folder / "zlib.py").write_text("")  # which the workload's file imports
    refused(project, "zlib.py is new")


def test_a_run_of_an_earlier_version_does_not_tell(project: Project) -> None:
    file = project.out / "run.jsonl"
    header, _, rest = cut_short(project, keep=2).decode().partition("\n")
    before = json.loads(header)
    del before["files"]
    file.write_text(f"{json.dumps(before)}\n{rest}")
    (project.folder / "net.py").write_text((project.folder / "net.py").read_text() + "\n")
    api.run(project.suite, project.out, resume=True)
    assert {line.status for line in project.lines()} == {"ok"}


def between(monkeypatch: pytest.MonkeyPatch, action: Any, after: tuple[str, str]) -> None:
    """Let `action` happen after the job of the given cell and kind."""

    def execute(job: Job) -> Line:
        line = here(job)
        if (job.cell.key, job.kind) == after:
            action()
        return line

    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))


def test_a_file_that_is_replaced_during_the_run_ends_it_with_what_is_finished(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = project.folder / "net.py"
    whole = net.read_text()

    def edit() -> None:
        net.write_text(whole + "\n# changed\n")

    with monkeypatch.context() as patch:
        between(patch, edit, after=(FP32, "prepare"))
        with pytest.raises(Incomparable) as caught:
            api.run(project.suite, project.out)
    assert str(caught.value) == f"{project.out}: {net} has changed {PUT_BACK}"
    assert names(project.lines()) == []
    net.write_text(whole)
    api.run(project.suite, project.out, resume=True)
    assert {line.status for line in project.lines()} == {"ok"}


def test_once_all_is_prepared_and_evaluated_files_are_the_users_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = project.folder / "net.py"

    def edit() -> None:
        net.write_text(net.read_text() + "\n# changed\n")

    between(monkeypatch, edit, after=(INT8, "inspect"))
    api.run(project.suite, project.out)
    assert {line.status for line in project.lines()} == {"ok"}
    assert len(names(project.lines())) == 10


def test_nothing_is_cached_of_a_file_that_was_replaced_under_the_job(
    onnx: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key was made of other bytes than it was built of."""
    pytest.importorskip("onnxruntime")
    from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime

    suite = read_suite(onnx.suite)
    cell = Cell("net", "fp32", "onnxruntime", threads=1)
    job = first_job(suite, cell)
    build = OnnxRuntime.build

    def replacing(*given: Any) -> None:
        replaced(onnx.folder, seed=1)
        build(*given)

    with monkeypatch.context() as patch:
        patch.setattr(OnnxRuntime, "build", replacing)
        line = here(job)
    assert line.status == "failed"
    assert line.error is not None
    assert line.error.message == (
        f"{onnx.folder}/net.onnx: it was replaced while a job was at work on it; leave it as it is "
        f"until the run has ended"
    )
    assert not list((onnx.folder / "home/cache/artifact").glob("*/artifact.json"))
    assert here(job).cached is False

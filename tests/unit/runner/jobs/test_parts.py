"""Parts of the jobs by themselves: rounds, artifact folders, the cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import FP32, INT8, NET, Project, here, last_job

from perfsuite import api
from perfsuite.domain.cell import Cell
from perfsuite.domain.model import InputSpec
from perfsuite.domain.record import Line
from perfsuite.domain.runtime import Manifest
from perfsuite.errors import BuildError, ConfigError, SchemaError
from perfsuite.runner import schedule
from perfsuite.runner.build import artifacts
from perfsuite.runner.job import in_turn

MANIFEST = Manifest(
    "fake", "cpu", "fp32", 1, (InputSpec("x", "float32", ("batch", 2)),), ("y", "z"), False, False
)


def numbers(count: int) -> np.ndarray:
    return np.arange(2.0 * count, dtype=np.float32).reshape(count, 2)


def test_rounds_alternate() -> None:
    assert ["".join(in_turn("abc", number)) for number in range(3)] == ["abc", "cba", "abc"]


def test_an_artifact_folder_is_read_as_it_was_written(tmp_path: Path) -> None:
    items = [{"x": numbers(index + 1), "mask": np.ones(3, bool)} for index in range(12)]
    facts = artifacts.Facts(1.5, 10, None, {"y": 1e-6}, sources="s")
    artifacts.write_manifest(tmp_path, MANIFEST)
    artifacts.write_inputs(tmp_path, items)
    artifacts.write_facts(tmp_path, facts)
    assert artifacts.size_bytes(tmp_path) == 0  # nothing of the engine's yet
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights").write_bytes(b"12345")
    assert artifacts.size_bytes(tmp_path) == 5
    assert artifacts.read_manifest(tmp_path) == MANIFEST
    assert artifacts.read_facts(tmp_path) == facts
    again = artifacts.read_inputs(tmp_path)
    assert len(again) == 12
    for one, other in zip(items, again, strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(other[name], array)


@pytest.mark.parametrize("content", [None, b"", b"{", b"PK\x03\x04 cut", b'{"runtime": 5}'])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("artifact.json", artifacts.read_manifest),
        ("inputs.npz", artifacts.read_inputs),
        ("facts.json", artifacts.read_facts),
    ],
)
def test_a_corrupt_artifact_is_named(
    tmp_path: Path, name: str, read: Any, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SchemaError, match=f"{name}: not an artifact's"):
        read(tmp_path)


def test_inputs_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "inputs.npz", **{"0/x": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(SchemaError, match=r"inputs\.npz: not an artifact's inputs"):
        artifacts.read_inputs(tmp_path)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    return Project(tmp_path, monkeypatch)


def cache(project: Project) -> dict[str, int]:
    """Return every file of the cache and when it was written."""
    found = (project.folder / "home" / "cache").rglob("*")
    return {str(path): path.stat().st_mtime_ns for path in found if path.suffix != ".lock"}


def test_a_second_run_does_nothing_again(project: Project) -> None:
    api.run(project.suite, project.out)
    before = cache(project)
    assert {Path(name).parent.name for name in before} >= {"artifact", "rows"}
    assert not any(line.cached for line in project.lines())
    project.out = project.folder / "second"
    api.run(project.suite, project.out)
    assert cache(project) == before
    cached = {(line.key, line.job): line.cached for line in project.lines()}
    for key in (FP32, INT8):
        assert cached[key, "prepare"]
        assert cached[key, "evaluate"]
        assert not cached[key, "measure"]
    assert len(list((project.out / "rows").iterdir())) == 2


def test_int8_has_an_artifact_of_its_own(project: Project) -> None:
    _, run, _ = api.run(project.suite, project.out)
    first, second = run.records.values()
    assert first.artifact != second.artifact
    assert second.evidence is not None
    assert second.evidence.kernels == {"FakeConv int8": 1}


def test_an_artifact_that_left_the_cache_is_made_again(project: Project) -> None:
    api.run(project.suite, project.out)
    (project.out / "run.jsonl").write_text(
        "".join((project.out / "run.jsonl").read_text().splitlines(keepends=True)[:3])
    )
    for kind in (project.folder / "home" / "cache").iterdir():
        kind.rename(kind.with_suffix(".gone"))
    _, run, judgement = api.run(project.suite, project.out, resume=True)
    assert judgement.exit_code == 0
    assert {record.status for record in run.records.values()} == {"ok"}


def test_eager_refuses_a_source_that_changed_since_it_was_prepared(project: Project) -> None:
    from perfsuite.runner.jobs.measure import rebuilder

    job = last_job(project)
    with pytest.raises(BuildError, match=r"net: its build\(\) failed in line 30 of .* Assertion"):
        rebuilder(job)()
    (project.folder / "net.py").write_text(f"{NET}\n# changed\n")
    with pytest.raises(ConfigError, match="the source of its workload or of a pass has changed"):
        rebuilder(job)()


class Watching:
    """An observer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def started(self, cell: Cell, kind: str, number: int | None) -> None:
        self.told.append(("started", cell.recipe, kind))

    def progressed(self, text: str) -> None:
        raise AssertionError(f"no pass is at work, and yet: {text}")

    def finished(self, line: Line) -> None:
        self.told.append((line.status, line.key.split("/")[1], line.job))

    def skipped(self, cell: Cell, kind: str) -> None:
        self.told.append(("skipped", cell.recipe, kind))


@pytest.fixture
def watching() -> Iterator[Watching]:
    yield Watching()


def test_the_observer_is_told_of_every_job_once(project: Project, watching: Watching) -> None:
    project.write(processes=1)
    net = NET.replace('metric_name = "top1"', "").replace("def rows", "def no_rows")
    (project.folder / "net.py").write_text(net)
    project.script({INT8: {"build": "raise"}})
    _, run, _ = api.run(project.suite, project.out, observe=lambda header, plan: watching)
    assert [record.labels for record in run.records.values()] == [("unlabelled",), ()]
    expected = [
        *[("started", "fp32", "prepare"), ("ok", "fp32", "prepare")],
        *[("started", "int8", "prepare"), ("failed", "int8", "prepare")],
        *[("skipped", "fp32", "evaluate"), ("skipped", "int8", "evaluate")],
        *[("started", "fp32", "inspect"), ("ok", "fp32", "inspect")],
        ("skipped", "int8", "inspect"),
        ("skipped", "int8", "measure"),
        *[("started", "fp32", "measure"), ("ok", "fp32", "measure")],
    ]
    assert watching.told == expected
    watching.told.clear()
    api.run(project.suite, project.out, resume=True, observe=lambda header, plan: watching)
    assert watching.told == [one for one in expected if one[0] != "started"]

"""A portable graph has one artifact on all processors, and each of them answers by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from fake_runs import here
from overflowing_net import project

from perfsuite.config.profile_suite import single_suite
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import PassUse, ResolvedRecipe
from perfsuite.processor import read_processor
from perfsuite.runner.build import artifacts, capabilities
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.jobs import comparing
from perfsuite.runner.jobs.evaluate import rows_key
from perfsuite.runtimes.shared import quantization
from perfsuite.store.cache import Cache

WITH, WITHOUT = ("avx2", "avx512_vnni", "avx512f"), ("avx2",)


class Here:
    """Prepares INT8 of a small net on processors of several kinds."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("PERFSUITE_HOME", str(folder / "home"))
        self.reference, self.patch = project(folder), patch

    def job(self, *, portable: bool, runtime: str = "onnxruntime") -> Job:
        fields = {"calibration_samples": 40, **({"portable": True} if portable else {})}
        suite = single_suite(self.reference, [runtime], threads=1)
        recipe = ResolvedRecipe("int8", (PassUse("int8", fields),))
        suite = msgspec.structs.replace(suite, recipes=(recipe,))
        return first_job(suite, Cell("net", "int8", suite.runtimes[0]))

    def key(self, features: tuple[str, ...], job: Job) -> str:
        self.on(features)
        line = here(job)
        assert line.status == "ok", line.error
        return line.artifact

    def on(self, features: tuple[str, ...]) -> None:
        other = replace(read_processor(), flags=features)
        for module in (capabilities, quantization):
            self.patch.setattr(module, "read_processor", lambda: other)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    # The engine computes on the processor that there is, on which 8 bits may overflow.
    monkeypatch.setattr(comparing, "require_as_graph", lambda *_: None)
    return Here(tmp_path, monkeypatch)


def test_a_portable_artifact_has_one_key_and_says_what_it_is(machine: Here) -> None:
    job = machine.job(portable=True)
    assert machine.key(WITH, job) == machine.key(WITHOUT, job)
    native = machine.job(portable=False)
    keys = [machine.key(features, native) for features in (WITH, WITHOUT)]
    assert len({*keys, machine.key(WITH, job)}) == 3
    portable = [
        artifacts.read_manifest(folder).portable
        for key in (machine.key(WITH, job), *keys)
        if (folder := Cache().get("artifact", key))
    ]
    assert portable == [True, False, True], "without VNNI weights have 7 bits by themselves"


def test_an_fp32_artifact_is_neither(machine: Here) -> None:
    job = machine.job(portable=False)
    empty = msgspec.structs.replace(job.recipe, passes=())
    folder = Cache().get("artifact", machine.key(WITH, msgspec.structs.replace(job, recipe=empty)))
    assert folder is not None
    assert artifacts.read_manifest(folder).portable is None


def test_another_processor_answers_by_itself(machine: Here) -> None:
    """Or a machine would take the answers of another one for its own."""

    def keys(job: Job) -> set[str]:
        found = set()
        for features in (WITH, WITHOUT):
            machine.on(features)
            found.add(rows_key(msgspec.structs.replace(job, artifact_key="one"), task))
        return found

    portable, native = machine.job(portable=True), machine.job(portable=False)
    task = workload_of(portable).task
    assert len(keys(portable)) == 2
    assert len(keys(native)) == 1, "its artifact's key tells the processor"


def test_what_a_users_runtime_builds_may_owe_more_to_the_processor(
    machine: Here, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime\n\n\n"
        "class Mine(OnnxRuntime):\n    pass\n"
    )
    job = machine.job(portable=True, runtime=f"{tmp_path}/mine.py:Mine")
    assert machine.key(WITH, job) != machine.key(WITHOUT, job)

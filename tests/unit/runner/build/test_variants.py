"""Recipes on torch modules, through the real engines."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from fake_runs import here
from pass_net import NET, SCALE, SHIFT, builder, project, run

from perfsuite import api
from perfsuite.domain.record import Failure, LayerWidth, Line, Run
from perfsuite.domain.runtime import SessionOptions
from perfsuite.errors import BuildError, ConfigError, ParityError
from perfsuite.runner import schedule
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.edits import read_edits
from perfsuite.runner.build.reference import module_outputs
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.job import Job
from perfsuite.runner.process import run_job_in_process
from perfsuite.store.cache import Cache
from perfsuite.store.journal import read

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return project(tmp_path, monkeypatch)


def answer(found: Run, key: str, x: np.ndarray) -> np.ndarray:
    """Return what the artifact of an ONNX cell answers."""
    record = next(record for record in found.records.values() if record.cell.key == key)
    artifact = Cache().get("artifact", record.artifact)
    assert artifact is not None
    runtime = artifacts.load_runtime(record.cell.runtime)
    with runtime.open(artifact, artifacts.read_manifest(artifact), SessionOptions(1, 1)) as session:
        return session.run({"x": x})[0]


def test_two_model_passes_in_their_order_fitted_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(job: Job) -> Line:
        # Eager answers come from a process that has nothing but the cache.
        fresh = job.kind == "evaluate" and job.cell.key == "net/r/pytorch/cpu/b1"
        return run_job_in_process(job) if fresh else here(job)

    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
    found, judgement = run(folder, SCALE, SHIFT)
    assert [record.error for record in found.records.values()] == [None] * 4
    assert judgement.exit_code == 0
    # Shift saw what Scale had made: a bias of 2.
    assert (folder / "fits").read_text() == "Scale 1\nShift 2\n"
    x = np.array([[1.0, -3.0, 0.5, 0.0]], np.float32)
    np.testing.assert_allclose(answer(found, "net/fp32/onnxruntime/cpu/b1", x), [[2, 0, 1.5, 1]])
    np.testing.assert_allclose(answer(found, "net/r/onnxruntime/cpu/b1", x), [[6, 0, 5, 4]])
    accuracies = [record.accuracy for record in found.records.values() if record.accuracy]
    assert len({one.digest for one in accuracies}) == 1
    assert len(accuracies) == 4
    edits = {read_edits(path).data["by"] for path in (Cache().root / "edits").glob("*[0-9a-f]")}
    assert edits == {2.0}

    run(folder, SCALE, SHIFT, out="again")
    assert (folder / "fits").read_text() == "Scale 1\nShift 2\n", "nothing was fitted again"
    # How long fitting took is told of what was in the cache, too.
    (first,), (second,) = (
        {line.made_s for line in read(folder / out)[1] if line.job == "prepare" and line.made_s}
        for out in ("run", "again")
    )
    assert first == second > 0.0
    other, _ = run(folder, SHIFT, SCALE, out="other", only="net/r/onnxruntime/*")
    assert (folder / "fits").read_text().splitlines()[2:] == ["Shift 1", "Scale 3"]
    np.testing.assert_allclose(answer(other, "net/r/onnxruntime/cpu/b1", x), [[8, 0, 7, 6]])


def test_checkpoints_stay_until_the_fit_is_kept(folder: Path) -> None:
    writes = """

class Writes(Scale, frozen=True):
    def fit(self, model, ctx):
        ctx.checkpoint.parent.mkdir(exist_ok=True)
        ctx.checkpoint.with_name("of-another-training").touch()
        for ending in (".step0.pt", ".ranks.json"):
            ctx.checkpoint.with_name(ctx.checkpoint.name + ending).touch()
        return super().fit(model, ctx)
"""
    (folder / "net.py").write_text(NET + writes)
    kept = folder / "home" / "checkpoints"
    run(folder, '{ use = "net.py:Writes", by = 0.0 }', only="net/r/onnxruntime/*")
    assert len(list(kept.iterdir())) == 3
    run(folder, '{ use = "net.py:Writes" }', out="ok", only="net/r/onnxruntime/*")
    assert len(list(kept.iterdir())) == 3, "those of the fit that failed, and what is not ours"


SPLIT = """

class Split(Pass, frozen=True):
    left: object = msgspec.field(default_factory=lambda: {"1": "it is no layer"})

    def fit(self, model, ctx):
        return Edits({"left": self.left})

    def rebuild(self, model, edits):
        torch.manual_seed(0)
        model[0] = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 3), nn.Linear(3, 4))
        return model
"""


def test_widths_that_a_pass_changed_are_told_of_a_cached_artifact_too(folder: Path) -> None:
    (folder / "net.py").write_text(NET + SPLIT)
    for out in ("run", "again"):
        found, _ = run(folder, '{ use = "net.py:Split" }', out=out)
        told = {record.cell.recipe: record.widths for record in found.records.values()}
        assert told == {"fp32": (), "r": (LayerWidth("0", 4, 4, ranks=(2, 3)),)}


def test_reasons_that_are_none_are_refused_and_the_pass_is_named(folder: Path) -> None:
    (folder / "net.py").write_text(NET + SPLIT)
    split = '{ use = "net.py:Split", left = ["0"] }'
    error = failure(run(folder, split, only="net/r/onnxruntime/*")[0])
    assert "Split: what it left alone failed with ValidationError" in error.message


def failure(found: Run) -> Failure:
    (record,) = found.records.values()
    assert record.status == "failed"
    assert record.error is not None
    return record.error


def test_a_pass_that_fails_leaves_nothing(folder: Path) -> None:
    found, judgement = run(
        folder, SCALE, '{ use = "net.py:Shift", by = 0.0 }', only="net/r/onnxruntime/*"
    )
    error = failure(found)
    assert error.kind == "BuildError"
    assert error.message.endswith("with ValueError: by nothing")
    assert "net.py:Shift: its fit() failed in line" in error.message
    assert 'raise ValueError("by nothing")' in error.output
    assert judgement.exit_code == 2
    kept = [path.name for path in (Cache().root / "edits").iterdir() if path.is_dir()]
    assert len(kept) == 1, "Scale's edits alone"
    assert not (Cache().root / "artifact").exists()


def test_a_graph_pass_comes_last(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"passes\[1\]: .*Scale' changes the torch module"):
        run(folder, '{ use = "int8" }', SCALE, only="net/r/onnxruntime/*")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("return module", "return modul", r"net: its build\(\) failed in line .*net.py with NameE"),
        (
            "model[0].bias.add_(",
            "model.nothing(",
            r"Shift: its rebuild\(\) failed in .* with Attr",
        ),
    ],
)
def test_a_user_s_code_that_fails_is_named(
    folder: Path, before: str, after: str, message: str
) -> None:
    (folder / "net.py").write_text(NET.replace(before, after))
    found, _ = run(folder, SHIFT, only="net/r/pytorch/*")
    error = failure(found)
    assert error.kind == "BuildError"
    assert re.search(message, error.message)
    assert "net.py" in error.output


def test_an_export_that_followed_one_branch_is_refused(folder: Path) -> None:
    branching = NET.replace(
        "net = Workload",
        """
class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def build():
    return Branching()


net = Workload""",
    )
    made = builder(folder, SCALE, net=branching)
    bare = VariantBuilder(made.workload, made.job, [], made.runtime, made.cache)
    with pytest.raises(ParityError, match="differs"):
        bare.variant()


def test_a_forward_that_cannot_take_the_inputs_says_what_it_was_given(folder: Path) -> None:
    made = builder(
        folder,
        SCALE,
        net=NET.replace("nn.Linear(4, 4)", "nn.Linear(5, 5)").replace("eye(4)", "eye(5)"),
    )
    with pytest.raises(BuildError, match=r"x float32 \(\d, 4\)"):
        module_outputs(made.build(), made.inputs(2, 0))


DIGITS = """
workloads = ["vgg-digits"]
runtimes  = ["onnxruntime"]
threads   = 1
processes = 1
measure   = { calls = 3, seconds = 0.0, warmup_seconds = 0.0 }
evaluate  = { samples = 50 }
"""


def test_a_second_run_of_a_real_net_does_nothing_again(folder: Path) -> None:
    pytest.importorskip("sklearn")
    (folder / "digits.toml").write_text(DIGITS)

    def files() -> dict[Path, int]:
        found = (folder / "home" / "cache").rglob("*")
        return {path: path.stat().st_mtime_ns for path in found if path.suffix != ".lock"}

    _, first, judgement = api.run(folder / "digits.toml", folder / "one")
    assert judgement.exit_code == 0
    before = files()
    assert {path.parent.name for path in before} >= {"export", "artifact", "rows"}
    _, second, _ = api.run(folder / "digits.toml", folder / "two")
    assert files() == before
    cached = {line.job: line.cached for line in read(folder / "two")[1]}
    assert cached == {"prepare": True, "evaluate": True, "inspect": False, "measure": False}
    (one,), (two,) = first.records.values(), second.records.values()
    assert one.accuracy == two.accuracy
    assert one.artifact == two.artifact
    assert one.accuracy is not None
    assert one.accuracy.value > 0.9

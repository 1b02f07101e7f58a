"""The evaluate job: answers in batches, what is checked of them, what cached rows follow from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fake_runs import FP32, NET, Project, here

from perfsuite import api
from perfsuite.domain.model import InputSpec
from perfsuite.domain.record import Line
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.suite import Evaluate
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, ParityError
from perfsuite.runner import schedule
from perfsuite.runner.job import Job
from perfsuite.runner.jobs.evaluate import Answering
from perfsuite.runtimes.fake.runtime import FakeSession

MANIFEST = Manifest(
    "fake", "cpu", "fp32", 1, (InputSpec("x", "float32", ("batch", 2)),), ("y", "z"), False, False
)


class Doubling:
    """A session of a fixed batch that doubles, adds `error`, and notes what it was asked."""

    clock = None

    def __init__(self, batch: int, error: float = 0.0) -> None:
        self.batch, self.error = batch, error
        self.asked: list[np.ndarray] = []

    def run(self, inputs: Inputs) -> Outputs:
        x = inputs["x"]
        assert len(x) == self.batch
        assert x.flags.c_contiguous
        self.asked.append(x.copy())
        return [2.0 * x + self.error, x.sum(axis=1)]


def answering(batch: int, error: float = 0.0) -> tuple[Any, Doubling]:
    session = Doubling(batch, error)
    return Answering(session, MANIFEST, batch), session  # type: ignore[arg-type]


def numbers(count: int) -> np.ndarray:
    return np.arange(2.0 * count, dtype=np.float32).reshape(count, 2)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7])
@pytest.mark.parametrize("batch", [1, 3, 50])
def test_any_number_of_samples_is_answered(count: int, batch: int) -> None:
    predict, session = answering(batch)
    doubled, sums = predict({"x": numbers(count)})
    np.testing.assert_array_equal(doubled, 2.0 * numbers(count))
    np.testing.assert_array_equal(sums, numbers(count).sum(axis=1))
    assert len(session.asked) == math.ceil(count / batch)


def test_the_last_sample_fills_up_the_batch() -> None:
    predict, session = answering(3)
    predict({"x": numbers(4)})
    np.testing.assert_array_equal(session.asked[1], numbers(4)[[3, 3, 3]])


def test_the_digest_tells_samples_and_not_batches_apart() -> None:
    def digest(batch: int, *parts: np.ndarray) -> str:
        predict, _ = answering(batch)
        for part in parts:
            predict({"x": part})
        return str(predict.digest)

    whole = digest(1, numbers(6))
    assert digest(4, numbers(6)) == whole
    assert digest(4, numbers(6)[:2], numbers(6)[2:]) == whole
    assert digest(4, numbers(5)) != whole
    assert digest(4, numbers(6)[::-1]) != whole


@pytest.mark.parametrize(("error", "agrees"), [(0.0, True), (0.009, True), (0.1, False)])
def test_batches_are_checked_against_the_timed_batch(error: float, agrees: bool) -> None:
    predict, _ = answering(4)
    predict({"x": numbers(6)})  # the largest answer is 22, or 21 for the sum
    single = Doubling(1, error=error)
    if agrees:
        predict.check_against(single, 1)
    else:
        with pytest.raises(ParityError, match="output 'y': batch 4 and batch 1 differ"):
            predict.check_against(single, 1)
    assert len(single.asked) == (6 if agrees else 1)


def test_nothing_asked_is_nothing_to_check() -> None:
    predict, _ = answering(4)
    predict.check_against(Doubling(1), 1)


def test_nan_is_no_answer() -> None:
    predict, _ = answering(2)
    with pytest.raises(BuildError, match="output 'y': 1 NaN and 0 infinite of 2 values"):
        predict({"x": np.array([[np.nan, 1.0]], np.float32)})


def test_a_timed_batch_that_answers_nan_is_no_agreement() -> None:
    predict, _ = answering(4)
    predict({"x": numbers(6)})
    with pytest.raises(ParityError, match="output 'y': batch 4 and batch 1 differ by nan"):
        predict.check_against(Doubling(1, error=math.nan), 1)  # type: ignore[arg-type]


# -- the whole job --------------------------------------------------------------------------------

TOLD = """    def fingerprint(self):
        from pathlib import Path

        return Path(__file__).with_name("data.txt").read_text()

    def rows("""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Return the evaluate job of a cell that was prepared; its task's data are in `data.txt`."""
    monkeypatch.setenv("PERFSUITE_CELL", "")
    project, jobs = Project(tmp_path, monkeypatch), []

    def execute(job: Job) -> Line:
        jobs.append(job)
        return here(job)

    (tmp_path / "net.py").write_text(NET.replace("    def rows(", TOLD))
    (tmp_path / "data.txt").write_text("one")
    project.write(processes=1)
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, execute))
    api.run(project.suite, project.out, only=FP32)
    (found,) = (one for one in jobs if one.kind == "evaluate")
    return found


def evaluated(job: Job, **changed: Any) -> Line:
    line = here(msgspec.structs.replace(job, **changed))
    assert line.error is None
    return line


def test_rows_are_found_again_by_all_that_they_follow_from(job: Job, tmp_path: Path) -> None:
    assert evaluated(job).cached
    few = evaluated(job, evaluate=Evaluate(samples=12))
    assert (few.cached, few.accuracies[0].samples) == (False, 12)
    assert evaluated(job).accuracies[0].samples == 40
    assert evaluated(job, artifact_key="another").cached is False

    (tmp_path / "data.txt").write_text("two")  # the task's data
    assert evaluated(job).cached is False
    assert evaluated(job).cached

    samples = tmp_path / "samples.npz"
    samples.write_bytes(b"one")
    assert evaluated(job, samples=str(samples)).cached is False
    assert evaluated(job, samples=str(samples)).cached
    samples.write_bytes(b"two")
    assert evaluated(job, samples=str(samples)).cached is False

    source = tmp_path / "net.py"
    source.write_text(f"{source.read_text()}\n# another metric\n")
    assert evaluated(job).cached is False


def test_every_metric_of_the_task_is_in_the_line(job: Job, tmp_path: Path) -> None:
    several = """    def metrics(self):
        return {"top1": self.metric, "first": lambda rows: float((rows[:, 1] == 0).mean())}

    def rows("""
    source = (tmp_path / "net.py").read_text().replace("    def rows(", several)
    (tmp_path / "several.py").write_text(source)
    found = evaluated(job, reference=f"{tmp_path}/several.py:net").accuracies
    assert [one.metric for one in found] == ["top1", "first"]
    assert len({one.digest for one in found}) == 1
    assert evaluated(job).accuracies[0] == found[0]


def test_what_is_evaluated_in_batches_is_held_against_the_batch_that_is_timed(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = FakeSession.run

    def otherwise(session: FakeSession, inputs: Inputs) -> Outputs:
        outputs = run(session, inputs)
        return outputs if session._options.batch != job.cell.batch else [-one for one in outputs]

    monkeypatch.setattr(FakeSession, "run", otherwise)
    line = here(msgspec.structs.replace(job, evaluate=Evaluate(samples=20)))
    assert line.error is not None
    assert line.error.kind == "ParityError"
    assert "batch 50 and batch 1 differ by 2 of the largest value" in line.error.message

"""The evaluate job: what cached rows follow from, and what is told of how samples were answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fake_runs import FP32, NET, Project, here

from perfsuite import api
from perfsuite.domain.record import Line
from perfsuite.domain.suite import Evaluate
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import Incomparable
from perfsuite.judge.intervals import difference_interval
from perfsuite.plugins import source_digest
from perfsuite.runner import schedule
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import Job
from perfsuite.runner.jobs.evaluate import rows_key
from perfsuite.runtimes.fake.runtime import FakeSession
from perfsuite.store.cache import key_of
from perfsuite.workloads.checked import unchecked

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
    found = evaluated(job, evaluate=Evaluate(samples=12))
    assert found.cached and found.made_s == few.made_s > 0.0  # as long as answering had taken
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


def test_a_task_that_does_not_tell_its_data_is_answered_anew_in_each_sitting(
    job: Job, tmp_path: Path
) -> None:
    assert evaluated(job, sitting="another").cached
    (tmp_path / "untold.py").write_text(NET)
    untold = msgspec.structs.replace(job, reference=f"{tmp_path}/untold.py:net")
    found = [evaluated(untold, sitting=one).cached for one in ("one", "one", "other", "one")]
    assert found == [False, True, False, True]
    assert not evaluated(untold).cached  # in that of the run


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


def otherwise(job: Job) -> Any:
    """Return a call of the scripted engine that answers otherwise at another batch than timed."""
    run = FakeSession.run

    def called(session: FakeSession, inputs: Inputs) -> Outputs:
        outputs = run(session, inputs)
        return outputs if session._options.batch == job.cell.batch else [-one for one in outputs]

    return called


def test_what_is_evaluated_in_batches_is_held_against_the_batch_that_is_timed(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they differ, the answers are those of the batch that is timed; that is told again."""
    right = evaluated(job, evaluate=Evaluate(samples=20), artifact_key="alike")
    assert right.labels == ()
    monkeypatch.setattr(FakeSession, "run", otherwise(job))
    for cached in (False, True):
        line = evaluated(job, evaluate=Evaluate(samples=20))
        assert line.cached is cached
        assert line.accuracies == right.accuracies
        assert line.labels == ("answered 1 at a time: answers at 20 differ",)


def test_rows_of_earlier_versions_have_no_labels(job: Job, tmp_path: Path) -> None:
    for file in (tmp_path / "home/cache/rows").glob("*/labels.json"):
        file.unlink()
    line = evaluated(job)
    assert (line.cached, line.labels) == (True, ())


VALIDATED = """    def validation(self, predict, samples=None):
        x = self.inputs(30, 1)["x"][:samples]
        hot = predict({"x": x})[0].argmax(axis=1)
        return np.stack([hot == 0, hot], axis=1).astype(np.float64)

    def rows("""


def test_validation_samples_have_rows_of_their_own(job: Job, tmp_path: Path) -> None:
    source = (tmp_path / "net.py").read_text().replace("    def rows(", VALIDATED)
    (tmp_path / "validated.py").write_text(source)
    reference = f"{tmp_path}/validated.py:net"
    tested = evaluated(job, reference=reference)
    first = evaluated(job, reference=reference, evaluate=Evaluate(split="validation"))
    again = evaluated(job, reference=reference, evaluate=Evaluate(split="validation"))
    assert (first.cached, again.cached) == (False, True)
    assert first.accuracies == again.accuracies
    (one,), (other,) = tested.accuracies, first.accuracies
    assert [(a.split, a.samples) for a in (one, other)] == [("test", 40), ("validation", 30)]
    assert one.digest != other.digest
    few = evaluated(job, reference=reference, evaluate=Evaluate(7, "validation"))
    assert few.accuracies[0].samples == 7
    rows = np.load(job.rows)
    assert len(rows) == 7 and set(rows[:, 0]) <= {0, 1}
    assert evaluated(job, reference=reference).accuracies == tested.accuracies
    with pytest.raises(Incomparable, match="other samples: test and validation; answer the same"):
        difference_interval(one, other)
    assert difference_interval(other, other) is not None


def test_keys_of_test_rows_are_what_they_were(job: Job) -> None:
    """Answers of hours are stored under them."""
    task = workload_of(job).task
    source = source_digest("workload", job.reference)
    parts = ("accuracies.json", job.artifact_key, "None", "one", source, "")
    assert rows_key(job, task) == key_of(*parts)
    validated = msgspec.structs.replace(job, evaluate=Evaluate(split="validation"))
    assert rows_key(validated, task) == key_of(*parts, "validation")
    unchecked(task).rows_version = 2
    assert rows_key(job, task) == key_of(*parts, "rows 2")


def test_a_task_without_validation_samples_is_unsupported_and_says_what_to_define(
    job: Job,
) -> None:
    line = here(msgspec.structs.replace(job, evaluate=Evaluate(split="validation")))
    assert line.status == "unsupported" and line.error is not None
    assert "its method `validation(predict, samples)`" in line.error.message

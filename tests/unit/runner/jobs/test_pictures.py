"""Pictures of a run: what a variant newly gets wrong, and nothing that could fail a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_runs import FP32, INT8, NET, Project, here

from perfsuite import api
from perfsuite.domain.pictures import Pictures, Said
from perfsuite.domain.record import Run
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.runner import schedule
from perfsuite.runner.jobs import pictures
from perfsuite.runtimes.fake.runtime import FakeSession
from perfsuite.store.pictures import read_pictures
from perfsuite.store.runs import load_run

SHOWS = """
    def right(self, rows):
        return rows[:, 0] == 1

    def shown(self, predict, rows, places, samples=None):
        from perfsuite import Said, Shown

        picture = np.full((8, 8, 3), 100, np.uint8)
        return [Shown(picture, Said("right"), Said(str(int(rows[p][1])))) for p in places]
"""
ASKS = """
    def shown(self, predict, rows, places, samples=None):
        from perfsuite import Said, Shown

        answers = predict({"x": self.inputs(40, 0)["x"][list(places)]})[0].argmax(axis=1)
        grey = np.full((99, 80), 9, np.uint8)
        return [Shown(grey, Said(f"sample {p}"), Said(str(a))) for p, a in zip(places, answers)]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path, monkeypatch)
    made.write(processes=1)
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    return made


@pytest.fixture
def worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let INT8 answer otherwise to every second sample."""
    whole = FakeSession.run

    def run(self: FakeSession, inputs: Inputs) -> Outputs:
        (answers,) = whole(self, inputs)
        if self._precision == "int8":
            answers[::2] = np.roll(answers[::2], 1, axis=1)
        return [answers]

    monkeypatch.setattr(FakeSession, "run", run)


def run(project: Project, more: str, **options: object) -> Run:
    (project.folder / "net.py").write_text(
        NET.replace("    def metric(", f"{more}\n    def metric(")
    )
    api.run(project.suite, project.out, **options)  # type: ignore[arg-type]
    return load_run(project.out)


def of(project: Project, key: str) -> Pictures:
    found = load_run(project.out)
    assert all(record.status == "ok" for record in found.records.values())
    (cell,) = (cell for cell in found.header.cells if cell.key == key)
    return read_pictures(project.out, cell.id)


def rows(project: Project, key: str) -> np.ndarray:
    (cell,) = (cell for cell in load_run(project.out).header.cells if cell.key == key)
    return np.load(project.out / "rows" / f"{cell.id}.npy")


def test_a_variant_shows_what_it_newly_gets_wrong(project: Project, worse: None) -> None:
    run(project, SHOWS)
    before, after = (rows(project, key)[:, 0] == 1 for key in (FP32, INT8))
    newly = np.flatnonzero(before & ~after)
    found = of(project, INT8)
    assert len(newly) > pictures.MOST
    assert (found.chosen, found.samples) == ("newly wrong", 40)
    assert (found.newly_wrong, found.newly_right) == (len(newly), int((after & ~before).sum()))
    shown = [one.sample for one in found.pictures]
    assert len(set(shown)) == pictures.MOST and set(shown) <= set(newly.tolist())
    assert (shown[0], shown[-1]) == (newly[0], newly[-1])  # spread over all of them
    answers = rows(project, INT8)[:, 1]
    assert [one.answer for one in found.pictures] == [Said(str(int(answers[p]))) for p in shown]
    assert of(project, FP32).note == "none: others are compared with this one"


def test_more_or_less_good_answers_show_the_first_samples_beside_each_other(
    project: Project,
) -> None:
    run(project, ASKS)
    found = of(project, INT8)
    assert (found.chosen, [one.sample for one in found.pictures]) == ("first", [*range(6)])
    assert found.newly_wrong is None
    mine, other = (rows(project, key)[:, 1].astype(int) for key in (INT8, FP32))
    for place, one in enumerate(found.pictures):
        assert one.answer == Said(str(mine[place])) and one.before == Said(str(other[place]))
    assert len(list((project.out / "pictures").glob("*.jpg"))) == 1  # both share it


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "its task shows no pictures"),
        (ASKS.replace("answers =", "raise RuntimeError('odd <b>')\n        answers ="), "odd <b>"),
        (ASKS.replace("99, 80", "99, 80, 2"), "a picture is uint8"),
        (ASKS.replace("zip(places", "zip(places[1:]"), "5 samples of 6 places"),
        (ASKS.replace("grey =", "raise SystemExit\n        grey ="), "SystemExit"),
        (SHOWS.replace("rows[:, 0] == 1", "rows"), "one truth value a row"),
        (
            SHOWS.replace("rows[:, 0] == 1", "rows.nothing"),
            "'numpy.ndarray' object has no attribute",
        ),
    ],
)
def test_a_task_that_shows_nothing_or_fails_costs_the_pictures_alone(
    project: Project, more: str, told: str
) -> None:
    assert run(project, more).records
    assert told in of(project, INT8).note
    assert of(project, INT8).pictures == ()


def test_a_folder_that_takes_no_files_is_a_caution(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pictures, "write_pictures", full)
    run(project, SHOWS)
    assert of(project, INT8).note == "none: the run has no pictures of this cell"
    told = json.dumps([str(one) for one in api.show(project.out).judgement.warnings])
    assert "pictures not written" in told

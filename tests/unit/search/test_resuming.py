"""Searches that go on, on the scripted engine: with the same answer, or with more minutes."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace
from searches import ENDS, SearchProject

from perfsuite.domain.record import Line
from perfsuite.errors import ConfigError, Incomparable
from perfsuite.measure.environment import environment
from perfsuite.runner.job import Job
from perfsuite.search import optimizing


def test_a_search_that_has_ended_is_told_again(project: SearchProject) -> None:
    project.script({"int8": 0.001}, {})
    first = project.optimize()
    done = len(project.jobs)
    again = project.optimize(resume=True)
    assert again.optimum == first.optimum
    assert len(project.jobs) == done


def test_a_search_that_was_cut_short_thrice_ends_with_the_same_answer(
    project: SearchProject,
) -> None:
    times = {"prune-50": 0.0019, "prune-25": 0.001}
    scripted = {f"{name}-int8{end}": s for name, s in times.items() for end in ENDS}
    project.script(scripted, {"* net/prune-50*": 100})
    whole = project.optimize().optimum
    jobs, done = len(project.jobs), 0
    cuts = set(random.Random(0).sample(range(1, jobs), 3))
    (project.folder / "final").unlink()
    project.out = project.folder / "cut-short"

    def execute(job: Job) -> Line:
        nonlocal done
        done += 1
        if done in cuts:
            raise KeyboardInterrupt
        return project.execute(job)

    for _ in cuts:
        with pytest.raises(KeyboardInterrupt):
            project.optimize(execute=execute, resume=(project.out / "search.jsonl").exists())
    found = project.optimize(execute=execute, resume=True).optimum
    same = {"created_at": whole.created_at, "spent_s": whole.spent_s}
    assert replace(found, **same) == whole


def test_a_search_does_not_go_on_as_another_one(project: SearchProject) -> None:
    project.script({"int8": 0.001}, {})
    project.optimize()
    with pytest.raises(ConfigError, match=r"other arguments, as .*--speedup 5 "):
        project.optimize(speedup=6.0, resume=True)
    with pytest.raises(ConfigError, match="there is a search already"):
        project.optimize()


def test_a_search_does_not_go_on_with_another_net(project: SearchProject) -> None:
    """What one phase has found is not of the net that the next would measure."""
    project.script({"int8": 0.009}, {})
    project.optimize(minutes=0.1)
    done = len(project.jobs)
    project.change("size=(batch, 4)", "size=(batch, 8)")
    for minutes in (0.1, 60.0):
        with pytest.raises(Incomparable, match=r"net\.py has changed since this search began"):
            project.optimize(minutes=minutes, resume=True)
    assert len(project.jobs) == done
    project.change("size=(batch, 4)", "size=(batch, 4)")
    assert project.optimize(minutes=0.1, resume=True).exit_code == 1


def test_a_search_does_not_go_on_with_other_versions(
    project: SearchProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.script({"int8": 0.001}, {})
    project.optimize()
    here = environment()
    other = replace(here, subject=here.subject | {"numpy": "0.1"})
    monkeypatch.setattr(optimizing, "environment", lambda: other)
    with pytest.raises(Incomparable, match=r"versions have changed .*numpy .* to 0\.1"):
        project.optimize(resume=True)


def test_a_search_that_has_ended_goes_on_with_more_minutes(project: SearchProject) -> None:
    project.script({"int8": 0.009}, {})
    before = project.optimize(minutes=0.1).optimum
    done = len(project.jobs)
    assert project.optimize(minutes=0.1, resume=True).optimum == before
    assert len(project.jobs) == done
    times = {"prune-50": 0.0019, "prune-25": 0.001}
    project.script({f"{name}-int8{end}": s for name, s in times.items() for end in ENDS}, {})
    after = project.optimize(resume=True).optimum
    assert (before.exit_code, after.exit_code) == (1, 0)
    assert (project.out / "earlier-1" / "optimize.json").is_file()
    assert after.spent_s > before.spent_s
    # It has met the target: there is nothing to gain.
    assert project.optimize(minutes=600.0, resume=True).optimum.created_at == after.created_at


def test_a_search_that_was_being_set_aside_goes_on(project: SearchProject) -> None:
    project.script({"int8": 0.009}, {})
    project.optimize(minutes=0.1)
    (project.out / "earlier-1").mkdir()
    (project.out / "search.jsonl").rename(project.out / "earlier-1" / "search.jsonl")
    project.optimize(resume=True)
    assert (project.out / "search.jsonl").is_file()
    assert (project.out / "earlier-1" / "1-engines").is_dir()

"""Who is measured with whom where memory is short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from fake_runs import FP32, INT8, Project, is_running

from perfsuite import api
from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.reading import read_suite
from perfsuite.domain.cell import Cell
from perfsuite.domain.judgement import InParts
from perfsuite.domain.recipe import PassUse, ResolvedRecipe
from perfsuite.domain.record import MEASURED_ALONE, Line, Measurement
from perfsuite.domain.suite import Budget, ResolvedSuite
from perfsuite.runner import parts, processes
from perfsuite.runner.groups import references
from perfsuite.runner.job import Job, line_of
from perfsuite.runner.parts import RESERVE_BYTES, Room, measure_in_parts


class Machine:
    """A memory of so many units, of which each cell needs as many as its recipe says."""

    def __init__(self, units: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.units, self.open = units, list[Job]()
        self.parties = list[list[str]]()
        machine = self

        class Party:
            def __init__(self, begin: Callable[[Job], None], stopped: object = None) -> None:
                self.begin, self.jobs = begin, list[Job]()

            def __enter__(self) -> Party:
                return self

            def __exit__(self, *_: object) -> None:
                machine.open.clear()

            def open(self, job: Job) -> int:
                self.begin(job)
                self.jobs.append(job)
                machine.open.append(job)
                assert machine.left() >= 0, "more is open than there is memory"
                return need(job)

            def measure(self) -> list[Line]:
                machine.parties.append([_shown(job) for job in self.jobs])
                return [line_of(job, status="ok") for job in self.jobs]

        monkeypatch.setattr(parts, "Party", Party)
        monkeypatch.setattr("perfsuite.runner.turns.Party", Party)

    def left(self) -> int:
        return (self.units - sum(map(need, self.open))) * RESERVE_BYTES + RESERVE_BYTES

    def room(self, *earlier: Line) -> Room:
        return Room(earlier, self.left, lambda need: need * RESERVE_BYTES, lambda: None)


def need(job: Job) -> int:
    """Return the units that a job needs: `x3` needs three."""
    return int(job.cell.recipe[-1])


def _shown(job: Job) -> str:
    return job.cell.recipe + ("'" if job.baseline else "") + (f"/{job.part}" if job.part else "")


def made(*recipes: str, baselines: bool = False) -> list[Job]:
    """Return a job of each recipe, and one of its baseline."""
    found = []
    for recipe in recipes:
        job = Job(
            kind="measure",
            cell=Cell("net", recipe, "fake"),
            reference="",
            runtime="fake",
            samples="",
            recipe=None,  # type: ignore[arg-type]
            evaluate=None,  # type: ignore[arg-type]
            measure=None,  # type: ignore[arg-type]
            together="us",
        )
        found += [job, msgspec.structs.replace(job, baseline=True)] if baselines else [job]
    return found


def against(one: Job, jobs: Sequence[Job]) -> dict[str, tuple[str, ...]]:
    return {job.cell.id: (() if job.cell == one.cell else (one.cell.id,)) for job in jobs}


def measured(room: Room, jobs: Sequence[Job], reference: Job) -> list[Line]:
    def alone(job: Job) -> Line:
        assert not job.together
        return line_of(job, status="ok")

    return measure_in_parts(room, alone, jobs, lambda job: None, against(reference, jobs))


def test_all_that_fits_is_measured_together(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, jobs = Machine(6, monkeypatch), made("r1", "a2", "b3")
    room = machine.room()
    lines = measured(room, jobs, jobs[0])
    assert machine.parties == [["r1", "a2", "b3"]]
    assert {(line.together, line.part) for line in lines} == {("us", 0)}
    # From the second time on, the order is the round's.
    measured(room, jobs[::-1], jobs[0])
    assert machine.parties[1:] == [["b3", "a2", "r1"]]


def test_each_part_has_its_reference_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, jobs = Machine(4, monkeypatch), made("a2", "r1", "b2", "c1")
    room = machine.room()
    lines = measured(room, jobs, jobs[1])
    # As nothing is known of c when it could be next, it counts as much as the largest so far.
    assert machine.parties == [["r1", "a2"], ["r1/1", "b2"], ["r1/2", "c1"]]
    assert [(line.key.split("/")[1], line.part, line.together) for line in lines] == [
        ("r1", 0, "us"),
        ("a2", 0, "us"),
        ("r1", 1, "us.1"),
        ("b2", 0, "us.1"),
        ("r1", 2, "us.2"),
        ("c1", 0, "us.2"),
    ]
    # Later rounds keep who was with whom, whatever their order.
    machine.parties.clear()
    measured(room, jobs[::-1], jobs[1])
    assert machine.parties == [["r1", "a2"], ["r1/1", "b2"], ["r1/2", "c1"]]


def test_what_does_not_fit_beside_its_reference_is_measured_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, jobs = Machine(3, monkeypatch), made("r2", "a3", "b2")
    room = machine.room()
    for _ in range(2):
        lines = measured(room, jobs, jobs[0])
        found = {line.key.split("/")[1]: (line.together, line.labels) for line in lines}
        assert found["a3"] == ("", (MEASURED_ALONE,))
        assert found["r2"] == ("us", ())
        assert found["b2"] == ("", (MEASURED_ALONE,))
        assert sum(line.part == 0 for line in lines) == 3


def test_a_cell_and_its_baseline_are_never_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, jobs = Machine(6, monkeypatch), made("r1", "a2", "b2", baselines=True)
    lines = measured(machine.room(), jobs, jobs[0])
    assert machine.parties == [["r1", "r1'", "a2", "a2'"], ["r1/1", "b2", "b2'"]]
    assert [line.baseline for line in lines if line.part] == [False]


def test_a_reference_that_does_not_fit_beside_its_baseline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, jobs = Machine(2, monkeypatch), made("r2", baselines=True)
    lines = measured(machine.room(), jobs, jobs[0])
    assert [(line.baseline, line.labels) for line in lines] == [
        (False, (MEASURED_ALONE,)),
        (True, (MEASURED_ALONE,)),
    ]


def test_who_is_measured_again_without_the_others_is_beside_its_baseline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, jobs = Machine(6, monkeypatch), made("r1", "a2", "b2", "c2", baselines=True)
    room = machine.room()
    measured(room, jobs, jobs[0])
    assert [party[-1] for party in machine.parties] == ["a2'", "b2'", "c2'"]
    machine.parties.clear()
    lines = measured(room, jobs[4:6], jobs[0])  # b and its baseline, which were in the second part
    assert machine.parties == [["b2", "b2'"]]
    assert {(line.together, line.labels) for line in lines} == {("us", ())}
    machine.parties.clear()
    lines = measured(room, jobs[4:], jobs[0])  # there is nobody for the first part
    assert machine.parties == [["b2", "b2'"], ["c2", "c2'"]]
    assert [(line.together, line.labels) for line in lines] == [("us.1", ())] * 2 + [
        ("us.2", ())
    ] * 2


def test_a_part_in_which_all_have_failed_leaves_the_later_ones_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine, jobs = Machine(4, monkeypatch), made("r1", "a2", "b2", "c2")
    room = machine.room()
    measured(room, jobs, jobs[0])
    machine.parties.clear()
    lines = measured(room, [*jobs[:2], jobs[3]], jobs[0])
    assert machine.parties == [["r1", "a2"], ["r1/1", "c2"]]
    assert not [line for line in lines if line.labels]


def test_only_who_was_tried_by_itself_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, jobs = Machine(6, monkeypatch), made("r1", "a2", "b1", baselines=True)
    room = machine.room()
    measured(room, jobs, jobs[0])
    assert [party[-1] for party in machine.parties] == ["a2'", "b1'"]
    machine.parties.clear()
    machine.units = 3  # others need some of it now
    lines = measured(room, [*jobs[4:], *jobs[2:4]], jobs[0])
    assert machine.parties == [["b1", "b1'"]]
    alone = [line.key.split("/")[1] for line in lines if line.labels]
    assert alone == ["a2", "a2"]


def test_what_earlier_sittings_needed_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, jobs = Machine(4, monkeypatch), made("r1", "a1", "b1", "c1")
    earlier = [
        line_of(job, status="ok", measurements=(Measurement(name, "B", (units * RESERVE_BYTES,)),))
        for job in jobs
        for name, units in (("load_peak_bytes", 1.0), ("run_peak_bytes", 0.5))
    ]
    room = machine.room(*earlier, line_of(jobs[0], status="ok"))
    measured(room, jobs[::-1], jobs[0])  # in the round's order, as all will fit
    assert machine.parties == [["c1", "b1", "a1", "r1"]]


def test_a_system_that_tells_nothing_splits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, jobs = Machine(99, monkeypatch), made("r1", "a2", "b3")
    measured(Room((), lambda: None, lambda need: need, lambda: None), jobs, jobs[0])
    assert machine.parties == [["r1", "a2", "b3"]]


def test_what_does_not_fit_on_the_card_together_is_measured_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(4, monkeypatch)
    jobs = [
        msgspec.structs.replace(job, cell=msgspec.structs.replace(job.cell, device="cuda"))
        for job in made("r1", "a1", "b2", "c2")
    ]
    room = Room((), lambda: None, lambda need: 0, machine.left)
    measured(room, jobs, jobs[0])
    assert machine.parties == [["r1", "a1", "b2"], ["r1/1", "c2"]]
    machine.parties.clear()
    machine.units = 6
    measured(room, jobs, jobs[0])
    assert machine.parties == [["r1", "a1", "b2", "c2"]], "all were seen, and fit together now"


def test_what_cells_took_of_the_card_in_earlier_sittings_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(3, monkeypatch)
    on_card = [Cell("net", name, "fake", "cuda") for name in ("r1", "a1", "b2")]
    jobs = [
        msgspec.structs.replace(job, cell=cell)
        for job, cell in zip(made("r1", "a1", "b2"), on_card, strict=True)
    ]
    earlier = [
        line_of(
            job,
            status="ok",
            measurements=(Measurement("device_peak_bytes", "B", (need(job) * RESERVE_BYTES,)),),
        )
        for job in jobs
    ]
    room = Room(earlier, lambda: None, lambda need: 0, machine.left)
    assert not room.fits(jobs)
    assert room.fits(jobs[:2])
    measured(room, jobs, jobs[0])
    assert machine.parties == [["r1", "a1"], ["r1/1", "b2"]]


def test_references_are_those_of_tables_and_of_budgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, monkeypatch)
    suite = read_suite(project.suite)
    budget = Budget("tied", "latency_s", "*/int8/*", against="other/*", min_speedup=2.0)
    suite = msgspec.structs.replace(suite, budgets=(budget,))
    fp32, int8 = cells_of(suite)
    other = msgspec.structs.replace(fp32, workload="other")
    assert references(suite, (fp32, int8, other)) == {
        fp32.id: (),
        int8.id: (fp32.id, other.id),
        other.id: (),
    }


def test_a_run_that_is_split_tells_it_and_pairs_each_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, monkeypatch)
    project.write(
        """
[[recipes]]
name   = "tenth"
passes = [{ use = "int8", calibration_samples = 7 }]
"""
    )
    tenth = FP32.replace("fp32", "tenth")
    pids: list[int] = []

    def peak(pid: int) -> int:
        pids.append(pid)
        return RESERVE_BYTES

    def available() -> int:
        return (3 - sum(map(is_running, pids))) * RESERVE_BYTES  # two, and what others need

    monkeypatch.setattr(processes, "Room", lambda lines: Room(lines, available, peak))
    _, run, judgement = api.run(project.suite, project.out)
    assert judgement.exit_code == 0
    records = {one.cell.key: one for one in run.records.values()}
    assert {key: sorted(one.parts) for key, one in records.items()} == {
        FP32: [0, 1],
        INT8: [],
        tenth: [],
    }
    for number in (0, 1):
        fp32, int8, other = (records[key].slices[number].together for key in (FP32, INT8, tenth))
        assert fp32 == int8 != other
        assert records[FP32].parts[number][0].slices.together == other
    assert InParts(((FP32, INT8), (FP32, tenth))) in judgement.warnings
    # A resumed run has nothing to do, and knows all.
    before = project.lines()
    _, again, _ = api.run(project.suite, project.out, resume=True)
    assert (project.lines(), again) == (before, run)


def test_what_is_slowed_down_is_held_against_what_is_not() -> None:
    slow = ResolvedRecipe("fp32+3%", slowdown=0.03)
    recipes = (ResolvedRecipe("fp32"), slow, ResolvedRecipe("int8", (PassUse("int8"),)))
    suite = ResolvedSuite("s", {"net": "net"}, ("pytorch", "fake"), recipes)
    eager, plain = Cell("net", "fp32", "pytorch"), Cell("net", "fp32", "fake")
    slowed, int8 = Cell("net", "fp32+3%", "fake"), Cell("net", "int8", "fake")
    assert references(suite, (eager, plain, slowed, int8)) == {
        eager.id: (),
        plain.id: (eager.id,),
        slowed.id: (eager.id, plain.id),
        int8.id: (eager.id,),
    }

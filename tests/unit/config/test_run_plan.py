"""What a run may take, and the history that makes the estimate better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from perfsuite.config import cells
from perfsuite.config.run_plan import RunPlan, plan, read_durations, write_durations
from perfsuite.domain.looks import Looks
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.suite import Budget, Evaluate, Expect, ResolvedSuite

SUITE = ResolvedSuite(
    "s",
    {"vgg": "vgg"},
    ("pytorch", "openvino"),
    (FP32, ResolvedRecipe("int8", (PassUse("int8"),))),
    threads=2,
    processes=4,
    evaluate=Evaluate(samples=1000),
    expect=(Expect("unsupported", "why", recipe="int8", runtime="pytorch"),),
)


def by_kind(found: RunPlan) -> dict[str, tuple[int, float]]:
    """Return job kind to the number of processes and their seconds."""
    kinds: dict[str, tuple[int, float]] = {}
    for job in found.jobs:
        count, seconds = kinds.get(job.kind, (0, 0.0))
        kinds[job.kind] = (count + job.count, seconds + job.total_s)
    return kinds


def test_each_cell_is_prepared_evaluated_and_inspected_once_and_measured_by_processes() -> None:
    kinds = by_kind(plan(SUITE, cells(SUITE), {}))
    # Three cells work; the fourth is expected not to and is prepared only, to find that out.
    assert {kind: count for kind, (count, _) in kinds.items()} == {
        "prepare": 4,
        "measure": 3 * 4,
        "evaluate": 3,
        "inspect": 3,
    }
    # fp32 on both: 15 s; int8: 25 s on openvino, 2 s where it is expected to be refused.
    assert kinds["prepare"][1] == pytest.approx(15 + 15 + 25 + 2)
    # A process takes 6 s with torch and 2 s without.
    assert kinds["measure"][1] == pytest.approx(4 * (6 + 2 + 2))
    # 1,000 samples: 10 s with torch, 3 s without, after the start.
    assert kinds["evaluate"][1] == pytest.approx((6 + 10) + 2 * (2 + 3))
    assert kinds["inspect"][1] == pytest.approx(6 + 2 + 2 + 3 * 0.5)


def test_a_plan_without_a_fixed_number_has_the_least() -> None:
    suite = msgspec.structs.replace(SUITE, processes=24, looks=Looks(4, 24))
    found, fixed = plan(suite, cells(suite), {}), plan(SUITE, cells(SUITE), {})
    assert found.jobs == fixed.jobs
    assert (found.at_least, fixed.at_least) == (True, False)


@pytest.mark.parametrize(
    ("minutes", "rounds"),
    # A round takes 10 s: 6 s with torch and twice 2 s without. The first 4 are always measured.
    [(None, 20), (1.0, 2), (1.01, 3), (0.1, 0), (5.0, 20)],
)
def test_a_plan_says_what_the_run_takes_at_most(minutes: float | None, rounds: int) -> None:
    suite = msgspec.structs.replace(SUITE, processes=24, looks=Looks(4, 24), minutes=minutes)
    found = plan(suite, cells(suite), {})
    assert found.at_most_s == pytest.approx(found.total_s + rounds * 10.0)


def test_rounds_of_inspecting_count_in_what_it_takes_at_most() -> None:
    stage = Budget("b", "stage_s", cell="vgg/fp32/openvino/*", stage="body", max_share=0.5)
    suite = msgspec.structs.replace(SUITE, processes=6, looks=Looks(4, 6), budgets=(stage,))
    found = plan(suite, cells(suite), {})
    assert found.at_most_s == pytest.approx(found.total_s + 2 * (10.0 + 2.5))


def test_a_plan_without_a_cell_that_can_run_takes_as_long_at_most() -> None:
    suite = msgspec.structs.replace(
        SUITE, processes=6, looks=Looks(4, 6), minutes=1.0, expect=(Expect("unsupported", "why"),)
    )
    found = plan(suite, cells(suite), {})
    assert found.at_most_s == pytest.approx(found.total_s)


def test_training_is_most_of_what_preparing_takes() -> None:
    trained = PassUse("prune", {"steps": 2, "finetune": {"optimizer": "sgd", "epochs": 3}})
    odd = PassUse("file.py:Odd", {"finetune": {"epochs": "many"}, "steps": "two"})
    recipes = (ResolvedRecipe("trained", (trained, PassUse("int8"))), ResolvedRecipe("odd", (odd,)))
    suite = msgspec.structs.replace(SUITE, runtimes=("openvino",), recipes=recipes, expect=())
    first, second = [job for job in plan(suite, cells(suite), {}).jobs if job.kind == "prepare"]
    assert first.each_s == pytest.approx(15 + (10 + 2 * 3 * 200) + 10)
    assert second.each_s == pytest.approx(15 + 10)


@pytest.mark.parametrize(
    ("fields", "epochs"),
    [({}, 60), ({"train": {"epochs": 3}}, 3), ({"untrained": True}, 0)],
)
def test_a_student_is_trained_from_the_beginning(fields: dict[str, Any], epochs: int) -> None:
    recipe = ResolvedRecipe("small", (PassUse("distill", {"student": "vgg-narrow", **fields}),))
    suite = msgspec.structs.replace(SUITE, runtimes=("openvino",), recipes=(recipe,), expect=())
    (job,) = [job for job in plan(suite, cells(suite), {}).jobs if job.kind == "prepare"]
    assert job.each_s == pytest.approx(15 + 10 + epochs * 200)


def test_what_several_cells_have_in_common_is_trained_once() -> None:
    def prepare_s(*passes: PassUse) -> list[float]:
        suite = msgspec.structs.replace(
            SUITE,
            runtimes=("onnxruntime", "openvino"),
            recipes=(
                ResolvedRecipe("one", passes),
                ResolvedRecipe("int8", (*passes, PassUse("int8"))),
            ),
            expect=(),
        )
        jobs = plan(suite, cells(suite), {}).jobs
        return [job.each_s for job in jobs if job.kind == "prepare"]

    tune = {"finetune": {"epochs": 3}}
    student = PassUse("distill", {"student": "vgg-narrow", "train": {"epochs": 2}})
    once = prepare_s(student)
    assert sorted(once) == pytest.approx([25, 35, 35, 25 + 2 * 200])
    for_one = PassUse("prune", {"runtime": "openvino", **tune})
    assert sum(prepare_s(for_one)) == pytest.approx(120 + 3 * 200)
    assert sum(prepare_s(PassUse("prune", tune))) == pytest.approx(120 + 2 * 3 * 200)
    both = prepare_s(student, PassUse("prune", tune))
    assert sum(both) == pytest.approx(160 + 2 * 200 + 2 * 3 * 200)


def test_more_samples_than_a_test_set_has_take_no_longer() -> None:
    def evaluate_s(samples: int | None) -> float:
        asked = msgspec.structs.replace(SUITE, evaluate=Evaluate(samples))
        return by_kind(plan(asked, cells(asked), {}))["evaluate"][1]

    assert evaluate_s(100_000_000) == evaluate_s(None) == evaluate_s(10_000)


def test_history_replaces_guesses() -> None:
    key = "vgg/fp32/pytorch/cpu/b1"
    guess = plan(SUITE, cells(SUITE), {})
    known = plan(SUITE, cells(SUITE), {f"measure/{key}": 2.5, f"prepare/{key}": 0.0})
    assert known.total_s == pytest.approx(guess.total_s - 4 * (6 - 2.5) - 15)
    assert len(guess.guessed) == len(guess.jobs)
    assert {(job.kind, job.cell) for job in known.jobs if job.known} == {
        ("measure", key),
        ("prepare", key),
    }
    assert len(known.guessed) == len(known.jobs) - 2


def test_a_plan_of_some_cells_is_a_part_of_the_whole() -> None:
    every = cells(SUITE)
    parts = [plan(SUITE, [cell], {}).total_s for cell in every]
    assert plan(SUITE, every, {}).total_s == pytest.approx(sum(parts))
    assert plan(SUITE, [], {}).total_s == 0


def test_durations_are_merged_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "new"))
    assert read_durations() == {}
    write_durations({"measure/a": 1.0, "measure/b": 2.0})
    write_durations({"measure/b": 3.0, "measure/c": float("inf"), "measure/d": -1.0})
    assert read_durations() == {"measure/a": 1.0, "measure/b": 3.0}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["durations.json"]


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": "b"}', '{"a": NaN}', "\xff"])
def test_a_corrupt_history_is_ignored_with_a_warning(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path))
    (tmp_path / "durations.json").write_text(content, encoding="latin-1")
    assert read_durations() == {}
    assert "durations are guessed" in caplog.text
    write_durations({"measure/a": 1.0})
    assert read_durations() == {"measure/a": 1.0}


def test_a_home_that_cannot_be_written_costs_only_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "file"))
    write_durations({"measure/a": 1.0})
    assert "durations are not kept" in caplog.text


def test_beside_a_baseline_measuring_takes_twice_as_long() -> None:
    beside, alone = (by_kind(plan(SUITE, cells(SUITE), {}, beside=both)) for both in (True, False))
    assert beside == {**alone, "measure": (12, pytest.approx(2 * alone["measure"][1]))}

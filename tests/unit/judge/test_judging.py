"""Budgets, regressions, statuses and exit codes on runs built by hand."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.recipe import FP32, Recipe
from perfsuite.domain.record import Accuracy, Failure, Header, Record, Run
from perfsuite.domain.suite import Budget, Expect, Suite
from perfsuite.domain.verdict import Verdict
from perfsuite.judge import compare, judge, reference_cell

MACHINE = Environment(
    MustMatch("A", 6, 85, 7, ("avx2", "avx512f"), {"L1d": 32768}, 2, None), {"torch": "2.15"}, {}
)
EAGER = Cell("vgg", "fp32", "pytorch")
INT8 = Cell("vgg", "int8", "openvino")


def record(cell: Cell, *latencies: float, **fields: Any) -> Record:
    """A cell whose n-th process always took the n-th latency."""
    defaults: dict[str, Any] = {
        "status": "ok",
        "latencies_s": {number: (one,) * 3 for number, one in enumerate(latencies)},
        "values": {},
        "accuracy": None,
        "evidence": None,
        "labels": (),
        "error": None,
    }
    return Record(cell=cell, **(defaults | fields))


def run(*records: Record, cells: tuple[Cell, ...] = (), **suite: Any) -> Run:
    environment = suite.pop("environment", MACHINE)
    cells = cells or tuple(one.cell for one in records)
    fields: dict[str, Any] = {
        "name": "s",
        "workloads": {"vgg": "vgg"},
        "runtimes": ("pytorch", "openvino"),
        "recipes": (FP32, Recipe("int8")),
    }
    header = Header(1, "0", "2026-01-01", Suite(**(fields | suite)), cells, environment)
    return Run(header, {one.cell.id: one for one in records})


def accuracy(value: float, spread: float = 0.0, digest: str = "d", samples: int = 2000) -> Accuracy:
    offsets = np.linspace(-spread, spread, 101)
    return Accuracy("top1", value, samples, digest, tuple(float(value + o) for o in offsets))


def only(verdicts: tuple[Verdict, ...]) -> Verdict:
    assert len(verdicts) == 1, verdicts
    return verdicts[0]


def budget(**fields: Any) -> Budget:
    defaults: dict[str, Any] = {
        "name": "b",
        "metric": "latency_s",
        "cell": "vgg/int8/*",
        "against": "vgg/fp32/pytorch/*",
    }
    return Budget(**(defaults | fields))


PAIR = (record(EAGER, 0.10, 0.11, 0.105, 0.10), record(INT8, 0.0101, 0.0111, 0.0105, 0.0099))


@pytest.mark.parametrize(
    ("needs", "status", "code"),
    [(5.0, "pass", 0), (9.99, "inconclusive", 3), (50.0, "over_budget", 1)],
)
def test_min_speedup(needs: float, status: str, code: int) -> None:
    found = judge(run(*PAIR, budgets=(budget(min_speedup=needs),)))
    verdict = only(found.verdicts)
    assert (verdict.status, found.exit_code) == (status, code)
    assert verdict.cell == "vgg/int8/openvino/cpu/b1"
    assert verdict.against == "vgg/fp32/pytorch/cpu/b1"
    assert verdict.limit == needs
    assert verdict.estimate is not None
    assert verdict.estimate.low < verdict.estimate.value < verdict.estimate.high
    assert verdict.words.startswith("9.98x faster than vgg/fp32/pytorch/cpu/b1 (9.")
    assert ("measure more processes" in verdict.words) == (status == "inconclusive")


def test_exact_limit_passes() -> None:
    runs = run(record(EAGER, 0.3, 0.3), record(INT8, 0.1, 0.1), budgets=(budget(min_speedup=3.0),))
    assert judge(runs).exit_code == 0


def test_high_percentile_is_judged_when_asked() -> None:
    slow_tail = dict.fromkeys(range(4), (0.01,) * 90 + (0.2,) * 10)
    runs = run(
        record(EAGER, *[0.1] * 4),
        record(INT8, latencies_s=slow_tail),
        budgets=(budget(min_speedup=5.0), budget(min_speedup=5.0, statistic="p95")),
    )
    median, p95 = judge(runs).verdicts
    assert (median.status, p95.status) == ("pass", "over_budget")
    assert p95.words == "0.5x the speed of vgg/fp32/pytorch/cpu/b1 by its p95, needs 5x"


@pytest.mark.parametrize(
    ("loses", "spread", "status"),
    [(0.0025, 0.004, "pass"), (0.008, 0.004, "inconclusive"), (0.02, 0.004, "over_budget")],
)
def test_max_drop_points(loses: float, spread: float, status: str) -> None:
    runs = run(
        record(EAGER, accuracy=accuracy(0.93)),
        record(INT8, accuracy=accuracy(0.93 - loses, spread)),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    verdict = only(judge(runs).verdicts)
    assert verdict.status == status
    assert verdict.estimate is not None
    assert verdict.estimate.value == pytest.approx(loses * 100)
    assert verdict.words.startswith(f"loses {loses * 100:g} points of top1 (")
    assert "may lose 1" in verdict.words


def test_a_gain_is_told_as_one() -> None:
    runs = run(
        record(EAGER, accuracy=accuracy(0.93)),
        record(INT8, accuracy=accuracy(0.935, 0.002)),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    assert only(judge(runs).verdicts).words == (
        "gains 0.5 points of top1 (a loss of -0.69 to -0.31) against vgg/fp32/pytorch/cpu/b1, "
        "may lose 1"
    )


def test_other_samples_are_incomparable() -> None:
    runs = run(
        record(EAGER, accuracy=accuracy(0.93)),
        record(INT8, accuracy=accuracy(0.93, digest="e")),
        budgets=(budget(metric="top1", max_drop_points=1.0),),
    )
    found = judge(runs)
    assert only(found.verdicts).status == "incomparable"
    assert found.exit_code == 3


def test_absolute_limits_and_counts() -> None:
    values = {"artifact_bytes": (59e6,), "throughput_per_s": (100.0, 101.0, 99.0)}
    runs = run(
        record(INT8, 0.0023, 0.0023, 0.0024, values=values, accuracy=accuracy(0.93, 0.01)),
        budgets=(
            budget(against=None, max=0.003),
            budget(against=None, max=0.001),
            budget(against=None, metric="artifact_bytes", max=60e6),
            budget(against=None, metric="throughput_per_s", min=100.0),
            budget(against=None, metric="top1", min=0.9),
        ),
    )
    verdicts = judge(runs).verdicts
    assert [one.status for one in verdicts] == [
        "pass",
        "over_budget",
        "pass",
        "inconclusive",
        "pass",
    ]
    assert verdicts[2].words == "artifact_bytes is 59 MB, must be at most 60 MB"
    assert verdicts[0].words.startswith("latency_s is 2.33 ms (2.")
    assert verdicts[0].words.endswith("must be at most 3 ms")


def test_max_increase_of_a_size() -> None:
    runs = run(
        record(EAGER, values={"artifact_bytes": (100.0,)}),
        record(INT8, values={"artifact_bytes": (130.0,)}),
        budgets=(budget(metric="artifact_bytes", max_increase=0.2),),
    )
    verdict = only(judge(runs).verdicts)
    assert verdict.status == "over_budget"
    assert verdict.words == (
        "artifact_bytes changes by +30 % against vgg/fp32/pytorch/cpu/b1, may grow by 20 %"
    )


def test_a_zero_reference_is_inconclusive() -> None:
    runs = run(
        record(EAGER, values={"macs": (0.0,)}),
        record(INT8, values={"macs": (1.0,)}),
        budgets=(budget(metric="macs", max_increase=0.2),),
    )
    assert only(judge(runs).verdicts).status == "inconclusive"


def test_unusable_latencies_are_left_out_and_told() -> None:
    runs = run(
        record(EAGER, 0.1, 0.1, math.nan, 0.0),
        record(INT8, 0.01, 0.01, 0.01, 0.01),
        budgets=(budget(min_speedup=5.0),),
    )
    found = judge(runs)
    assert found.exit_code == 0
    assert found.warnings == (
        "vgg/fp32/pytorch/cpu/b1: latencies of round 2, 3 are not all positive numbers and were "
        "left out",
    )


@pytest.mark.parametrize("latencies", [(), (0.01,), (math.nan, math.nan)])
def test_too_few_processes_are_never_green(latencies: tuple[float, ...]) -> None:
    runs = run(PAIR[0], record(INT8, *latencies), budgets=(budget(min_speedup=5.0),))
    found = judge(runs)
    assert only(found.verdicts).status == ("inconclusive" if latencies else "missing")
    assert found.exit_code == 3


def test_rounds_that_never_met_are_inconclusive() -> None:
    later = record(INT8, latencies_s={8: (0.01,), 9: (0.01,)})
    found = judge(run(PAIR[0], later, budgets=(budget(min_speedup=5.0),)))
    assert only(found.verdicts).status == "inconclusive"


def test_simulated_is_never_fast() -> None:
    runs = run(
        PAIR[0],
        record(INT8, 0.01, 0.01, 0.01, 0.01, labels=("simulated",)),
        budgets=(budget(min_speedup=5.0),),
    )
    assert only(judge(runs).verdicts).status == "incomparable"


@pytest.mark.parametrize("against", ["vgg/none/*", "vgg/*"])
def test_against_must_match_one_cell(against: str) -> None:
    verdict = only(judge(run(*PAIR, budgets=(budget(against=against, min_speedup=5.0),))).verdicts)
    assert verdict.status == "missing"
    assert "must match one cell" in verdict.words


def test_the_reference_is_not_held_against_itself() -> None:
    found = judge(run(*PAIR, budgets=(budget(cell="*", min_speedup=5.0),)))
    assert only(found.verdicts).cell == INT8.key
    assert found.exit_code == 0


def test_a_budget_that_judges_nothing_is_missing() -> None:
    found = judge(run(*PAIR, budgets=(budget(cell="x/*", min_speedup=5.0),)))
    assert only(found.verdicts).status == "missing"
    assert found.exit_code == 3


FAILED = record(INT8, status="failed", error=Failure("BuildError", "no such kernel\nmore"))


def test_failed_cells_are_red_in_words_and_code() -> None:
    found = judge(run(PAIR[0], FAILED, budgets=(budget(min_speedup=5.0),)))
    status, of_budget = found.verdicts
    assert status == Verdict(
        "failed", "status", INT8.key, "status", "failed: BuildError: no such kernel"
    )
    assert of_budget.status == "missing"
    assert found.exit_code == 2


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        *[("failed", kind, 2) for kind in ("ConfigError", "SchemaError", "ParityError")],
        *[("failed", kind, 3) for kind in ("Crash", "Timeout", "MemoryError", "SilentFallback")],
        ("failed", "ValueError", 3),
        ("unsupported", "Unsupported", 2),
        ("unavailable", "Unavailable", 2),
    ],
)
def test_what_the_user_must_mend_is_told_by_the_code(status: str, kind: str, code: int) -> None:
    bad = record(INT8, status=status, error=Failure(kind, "no"))
    assert judge(run(PAIR[0], bad)).exit_code == code
    over = budget(cell=EAGER.key, against=None, max=0.001)  # 1 comes after 2 and before 3
    assert judge(run(PAIR[0], bad, budgets=(over,))).exit_code == (2 if code == 2 else 1)


def test_a_cell_without_a_record_is_missing() -> None:
    found = judge(run(PAIR[0], cells=(EAGER, INT8)))
    assert only(found.verdicts).words == "was not run"


def test_expected_statuses_are_green_but_satisfy_no_budget() -> None:
    expect = Expect(status="unsupported", reason="no such engine", recipe="int8")
    gone = record(INT8, status="unsupported", error=Failure("Unsupported", "no"))
    assert judge(run(PAIR[0], gone, expect=(expect,))).exit_code == 0
    assert judge(run(PAIR[0], gone)).exit_code == 2
    failed = msgspec.structs.replace(gone, status="failed")
    assert judge(run(PAIR[0], failed, expect=(expect,))).exit_code == 2
    other = Cell("vgg", "int8", "onnxruntime")
    fast = record(other, 0.01, 0.01)
    some = judge(run(PAIR[0], gone, fast, expect=(expect,), budgets=(budget(min_speedup=2.0),)))
    assert [(one.cell, one.status) for one in some.verdicts] == [(other.key, "pass")]
    none = judge(run(PAIR[0], gone, expect=(expect,), budgets=(budget(min_speedup=2.0),)))
    assert only(none.verdicts).status == "missing"


def test_an_expectation_that_did_not_come_true_is_told() -> None:
    expect = Expect(status="unsupported", reason="no such engine", recipe="int8")
    found = judge(run(*PAIR, expect=(expect,)))
    assert found.exit_code == 0
    assert "vgg/int8/openvino/cpu/b1 was expected to be unsupported" in found.warnings[0]


def test_compressed_but_not_faster_is_told() -> None:
    origin, variant = Cell("vgg", "fp32", "openvino"), INT8
    found = judge(run(record(origin, 0.01, 0.01), record(variant, 0.012, 0.012)))
    assert found.exit_code == 0
    assert found.warnings == (
        "vgg/int8/openvino/cpu/b1 is slower than vgg/fp32/openvino/cpu/b1: 0.833x",
    )


# Against a baseline ---------------------------------------------------------------------------


def noisy(factor: float, seed: int, noise: float, **suite: Any) -> Run:
    rng = np.random.default_rng(seed)
    return run(
        *(
            record(
                cell,
                *(float(x) for x in base * factor * np.exp(rng.normal(0, noise, 4))),
                accuracy=accuracy(0.93),
            )
            for cell, base in ((EAGER, 0.1), (INT8, 0.01))
        ),
        **suite,
    )


def scaled(before: Run, factor: float, *cells: Cell) -> Run:
    ids = [cell.id for cell in cells] or list(before.records)
    records = {
        key: msgspec.structs.replace(
            old,
            latencies_s={
                number: tuple(factor * one for one in samples)
                for number, samples in old.latencies_s.items()
            },
        )
        if key in ids
        else old
        for key, old in before.records.items()
    }
    return msgspec.structs.replace(before, records=records)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03, 0.5])
def test_a_run_against_itself_passes(noise: float) -> None:
    budgets = (budget(against=None, baseline=True, max_increase=0.05, cell="*"),)
    itself = noisy(1.0, 0, noise, budgets=budgets)
    found = judge(itself, itself)
    assert found.exit_code == 0
    assert len(found.verdicts) == 6


def test_one_process_against_itself_passes_and_against_another_cannot_be_judged() -> None:
    itself = run(record(INT8, 0.01))
    assert judge(itself, itself).exit_code == 0
    assert judge(itself, run(record(INT8, 0.0101))).exit_code == 3


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
@pytest.mark.parametrize("seed", range(5))
def test_a_fifth_slower_is_found_and_named(noise: float, seed: int) -> None:
    before, after = noisy(1.0, seed, noise), noisy(1.2, seed + 100, noise)
    for slower in (after, scaled(before, 1.2)):
        found = judge(slower, before)
        assert found.exit_code == 1
        named = {one.cell for one in found.verdicts if one.status == "regressed"}
        assert named == {EAGER.key, INT8.key}
    assert judge(before, after).exit_code == 0


def test_words_of_a_regression() -> None:
    before = run(record(INT8, 0.01, 0.01))
    verdict = only(judge(scaled(before, 1.2), before).verdicts)
    assert verdict.words == "20 % slower than in the baseline"
    assert verdict.estimate is not None
    assert verdict.estimate.value == pytest.approx(0.2)
    assert (verdict.budget, verdict.limit) == ("regression", 0.03)


def test_a_sure_but_small_change_passes() -> None:
    before = run(record(INT8, 0.01, 0.01))
    assert judge(scaled(before, 1.02), before).exit_code == 0


def test_a_large_but_unsure_change_is_inconclusive() -> None:
    before = run(record(INT8, 0.010, 0.010))
    after = run(record(INT8, 0.010, 0.014))
    verdict = only(judge(after, before).verdicts)
    assert verdict.status == "inconclusive"
    assert verdict.words.endswith("too close to tell, measure more processes")


def test_accuracy_lost_since_the_baseline() -> None:
    before = run(record(INT8, accuracy=accuracy(0.93)))
    for value, spread, status in [
        (0.92, 0.002, "regressed"),
        (0.928, 0.006, "inconclusive"),
        (0.9293, 0.0, "pass"),
        (0.94, 0.001, "pass"),
    ]:
        after = run(record(INT8, accuracy=accuracy(value, spread)))
        assert only(judge(after, before).verdicts).status == status
    other = run(record(INT8, accuracy=accuracy(0.93, digest="e")))
    assert only(judge(other, before).verdicts).status == "incomparable"
    none = run(record(INT8))
    assert only(judge(none, before).verdicts).words == "has no top1, which the baseline has"


def test_the_same_artifact_has_lost_nothing() -> None:
    budgets = (budget(against=None, baseline=True, metric="top1", max_drop_points=0.01),)
    with_key = run(record(INT8, accuracy=accuracy(0.93), artifact="k"), budgets=budgets)
    assert judge(with_key, with_key).exit_code == 0
    without = run(record(INT8, accuracy=accuracy(0.93)), budgets=budgets)
    assert judge(without, without).exit_code == 3


def test_an_accuracy_that_is_the_same_passes_a_third_of_a_point() -> None:
    itself = run(
        record(EAGER, accuracy=accuracy(0.93)),
        record(INT8, accuracy=accuracy(0.93)),
        budgets=(budget(metric="top1", max_drop_points=0.3),),
    )
    assert judge(itself).exit_code == 0


def other_machine(before: Run) -> Run:
    must_match = msgspec.structs.replace(
        MACHINE.must_match,
        processor="B",
        flags=("avx2",),
        usable_cores=64,
        caches_bytes={"L1d": 32768, "L2": 1},
    )
    environment = msgspec.structs.replace(MACHINE, must_match=must_match)
    return msgspec.structs.replace(
        before, header=msgspec.structs.replace(before.header, environment=environment)
    )


def test_another_machine_is_incomparable_and_the_fields_are_named() -> None:
    itself = noisy(1.0, 0, 0.01)
    found = judge(itself, other_machine(itself))
    assert found.exit_code == 3
    latency = found.verdicts[0]
    assert latency.status == "incomparable"
    assert "processor ('A' here, 'B' in the baseline)" in latency.words
    assert "caches bytes (of L2)" in latency.words
    assert "flags (only one has avx512f)" in latency.words
    assert "usable cores (2 here, 64 in the baseline)" in latency.words
    assert found.verdicts[1].metric == "top1"
    assert found.verdicts[1].status == "pass"


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_ratios_are_judged_across_machines(noise: float) -> None:
    before = other_machine(noisy(3.0, 1, noise, compare="ratio"))
    same = noisy(1.0, 2, noise, compare="ratio")
    assert judge(same, before).exit_code == 0
    assert judge(same, before).warnings == (
        'compare = "ratio" divides by vgg/fp32/pytorch/cpu/b1: what slows that cell, or all alike, '
        "is not seen",
    )
    slower = scaled(same, 1.2, INT8)
    found = judge(slower, before)
    assert found.exit_code == 1
    named = [one for one in found.verdicts if one.status == "regressed"]
    assert only(tuple(named)).cell == INT8.key
    assert "relative to vgg/fp32/pytorch/cpu/b1" in named[0].words
    yardstick = found.verdicts[0]
    assert yardstick.words.startswith("is the yardstick")


def test_budgets_against_a_baseline_compare_ratios_too() -> None:
    budgets = (budget(against=None, baseline=True, max_increase=0.1, cell="*"),)
    before = other_machine(noisy(3.0, 1, 0.01, compare="ratio", budgets=budgets))
    same = noisy(1.0, 2, 0.01, compare="ratio", budgets=budgets)
    assert judge(same, before).exit_code == 0
    found = judge(scaled(same, 1.2, INT8), before)
    assert [one.cell for one in found.verdicts if one.status == "over_budget"] == [INT8.key]
    absolute = noisy(1.0, 2, 0.01, budgets=budgets)
    assert {one.status for one in judge(absolute, before).verdicts[:2]} == {"incomparable"}
    assert {one.status for one in judge(absolute).verdicts} == {"missing"}


def test_throughput_is_compared_by_ratio_without_rounds() -> None:
    limit = budget(
        against=None, baseline=True, metric="load_s", max_increase=0.1, cell="vgg/int8/*"
    )

    def loaded(eager: float, int8: float) -> Run:
        return run(
            record(EAGER, values={"load_s": (eager, eager * 1.01, eager)}),
            record(INT8, values={"load_s": (int8, int8 * 1.01, int8)}),
            compare="ratio",
            budgets=(limit,),
        )

    assert judge(loaded(1.0, 2.0), loaded(3.0, 6.0)).exit_code == 0
    assert judge(loaded(1.0, 2.6), loaded(3.0, 6.0)).exit_code == 1


def test_cells_that_are_gone_or_new() -> None:
    both = run(*PAIR)
    found = judge(run(PAIR[0]), both)
    assert [(one.cell, one.status) for one in found.verdicts] == [
        (EAGER.key, "pass"),
        (INT8.key, "missing"),
    ]
    assert found.exit_code == 3
    newer = judge(both, run(PAIR[0]))
    assert newer.exit_code == 0
    assert newer.warnings == (
        "vgg/int8/openvino/cpu/b1 has no ok record in the baseline: its changes are not judged",
    )


def test_one_comes_before_three() -> None:
    budgets = (budget(min_speedup=50.0), budget(cell="none", min_speedup=1.0))
    assert judge(run(*PAIR, budgets=budgets)).exit_code == 1


def test_new_versions_are_told_not_refused() -> None:
    before = run(record(INT8, 0.01, 0.01))
    upgraded = msgspec.structs.replace(MACHINE, subject={"torch": "2.16"})
    found = judge(run(record(INT8, 0.01, 0.01), environment=upgraded), before)
    assert found.exit_code == 0
    assert found.warnings == ("versions differ from the baseline's: torch 2.15 -> 2.16",)


def test_warnings_of_reading_are_passed_on() -> None:
    torn = msgspec.structs.replace(run(*PAIR), warnings=("torn",))
    assert judge(torn, torn).warnings == ("torn", "baseline: torn")


@pytest.mark.parametrize(
    ("threads", "quota", "told"),
    [(2, None, ""), (3, None, "only 2"), (2, 1.5, ""), (2, 0.5, "only 1")],
)
def test_more_threads_than_cores_are_told(threads: int, quota: float | None, told: str) -> None:
    machine = msgspec.structs.replace(MACHINE.must_match, quota_cores=quota)
    one = record(Cell("vgg", "fp32", "pytorch", threads=threads), 0.1, 0.1)
    found = judge(run(one, environment=msgspec.structs.replace(MACHINE, must_match=machine)))
    assert found.exit_code == 0
    assert len(found.warnings) == bool(told)
    assert all(f"threads = {threads}, but {told} could" in one for one in found.warnings)


def test_a_header_without_quick_is_that_of_a_whole_run() -> None:
    old = msgspec.to_builtins(run(PAIR[0]).header)
    del old["quick"]
    assert msgspec.convert(old, Header, strict=False).quick is False


def test_the_reference_is_eager_fp32_of_the_same_batch() -> None:
    first, eager = Cell("vgg", "fp32", "openvino"), EAGER
    batch8 = Cell("vgg", "fp32", "openvino", batch=8)
    half = Cell("vgg", "fp32", "pytorch", precision="bf16")
    cells = [first, half, eager, batch8]
    assert reference_cell(INT8, cells) == eager
    assert reference_cell(INT8, [first, half]) == first
    assert reference_cell(Cell("vgg", "int8", "openvino", batch=8), cells) == batch8
    assert reference_cell(Cell("other", "fp32", "pytorch"), cells) is None


def test_compare_two_runs() -> None:
    before = noisy(1.0, 0, 0.01)
    found = compare(before, scaled(before, 1.2, INT8))
    assert [one.key for one in found.changes] == [EAGER.key, INT8.key]
    eager, int8 = found.changes
    assert eager.latency_ratio is not None
    assert eager.latency_ratio.value == 1.0
    assert int8.latency_ratio is not None
    assert int8.latency_ratio.value == pytest.approx(1.2)
    assert int8.loss_points is not None
    assert int8.loss_points.value == 0.0
    gone = compare(before, run(PAIR[0]))
    assert gone.only_before == (INT8.key,)
    far = compare(other_machine(before), before)
    assert far.changes[0].latency_ratio is None
    assert "processor" in far.changes[0].notes[0]

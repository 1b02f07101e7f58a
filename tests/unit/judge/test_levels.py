"""The values of metrics in records, alone and as ratios, worked out by hand."""

from __future__ import annotations

import math

import pytest
from judged_runs import EAGER, INT8, accuracy, budget, only, record, run

from perfsuite.domain.metrics import Metric
from perfsuite.domain.record import Record
from perfsuite.domain.verdict import Interval
from perfsuite.judge import judge, metrics

MEAN = Metric("switches", "1", summary="mean", machine_bound=False)
STAGED = {0: {"body": 3.0, "head": 1.0}, 1: {"body": 1.0, "head": 3.0}}


def test_without_a_statistic_the_median_is_taken() -> None:
    one = record(INT8, latencies_s={0: (1.0, 1.0, 4.0), 1: (1.0, 1.0, 4.0)})
    assert metrics.level(one, "latency_s") == Interval(1.0, 1.0, 1.0)
    high = metrics.level(one, "latency_s", "p95")
    assert high is not None and high.value == pytest.approx(3.7)
    assert metrics.typical_latency(one) == pytest.approx(1.0)
    assert metrics.typical_latency(record(INT8)) is None


def test_what_is_exact_has_no_width() -> None:
    one = record(INT8, values={"artifact_bytes": (7.0, 8.0, 9.0)})
    assert metrics.level(one, "artifact_bytes") == Interval(8.0, 8.0, 8.0)
    broken = record(INT8, values={"artifact_bytes": (math.inf,)})
    assert metrics.level(broken, "artifact_bytes") is None


def test_a_mean_needs_two_values() -> None:
    for values in ({}, {"switches": ()}, {"switches": (1.0,)}):
        assert metrics.level(record(INT8, values=values, metrics=(MEAN,)), "switches") is None
    two = record(INT8, values={"switches": (1.0, 1.0)}, metrics=(MEAN,))
    assert metrics.level(two, "switches") == Interval(1.0, 1.0, 1.0)


def test_means_are_compared_only_where_none_is_zero() -> None:
    def of(*values: float, name: str = "switches") -> Record:
        return record(INT8, values={name: values}, metrics=(MEAN,))

    found = metrics.ratio_between_runs(of(0.5, 0.5), of(0.25, 0.25), "switches", "median")
    assert found is not None and found.value == pytest.approx(2.0)
    for one, other in ((of(0.0, 1.0, 1.0), of(1.0, 1.0)), (of(1.0, 1.0), of(0.0, 1.0, 1.0))):
        assert metrics.ratio_between_runs(one, other, "switches", "median") is None
    # Nor is a geometric mean of what is left.
    loaded = (of(0.0, 2.0, 2.0, name="load_s"), of(1.0, 1.0, name="load_s"))
    assert metrics.ratio_between_runs(*loaded, "load_s", "median") is None
    nothing = of(0.0, 0.0), of(0.0, 0.0, 0.0)
    assert metrics.ratio_between_runs(*nothing, "switches", "median") == Interval(1.0, 1.0, 1.0)
    sizes = [of(*one, name="artifact_bytes") for one in ((0.0,), (0.0, 0.0), (3.0,))]
    for one, value in ((sizes[1], 1.0), (sizes[2], 0.0)):
        assert metrics.ratio(sizes[0], one, "artifact_bytes", "median") == Interval(*[value] * 3)
    assert metrics.counted_ratio(sizes[0], sizes[1], "artifact_bytes") is None
    assert metrics.ratio_between_runs(record(INT8), of(1.0, 1.0), "load_s", "median") is None


def test_stages_alone_and_as_shares() -> None:
    one = record(INT8, stages_s=STAGED)
    level, share = metrics.level(one, "stage_s/body"), metrics.level(one, "stage_share/body")
    assert level is not None and share is not None
    assert level.value == pytest.approx(math.sqrt(3.0))  # a time: the geometric mean
    assert share.value == pytest.approx(0.5)
    assert (share.low, share.high) == (0.0, 1.0)
    idle = record(INT8, stages_s={n: {"body": 0.0, "head": 1.0} for n in (0, 1)})
    assert metrics.level(idle, "stage_s/body") == Interval(0.0, 0.0, 0.0)
    assert metrics.level(idle, "stage_share/body") == Interval(0.0, 0.0, 0.0)
    assert not metrics.has(one, "stage_s/tail")
    slashed = record(INT8, stages_s={n: {"a/b": 2.0} for n in (0, 1)})
    assert metrics.level(slashed, "stage_s/a/b") == Interval(2.0, 2.0, 2.0)
    assert not metrics.has(record(INT8, stages_s={0: {"body": 0.0}}), "stage_s/body")


def test_which_metric_a_budget_means() -> None:
    assert metrics.subject(budget(max=1.0)) == "latency_s"
    staged = {"metric": "stage_s", "stage": "rpn", "against": None}
    assert metrics.subject(budget(max=1.0, **staged)) == "stage_s/rpn"
    assert metrics.subject(budget(max_share=1.0, **staged)) == "stage_share/rpn"


def test_what_a_record_has() -> None:
    one = record(INT8, 0.1, values={"macs": (1.0,), "load_s": ()}, accuracies=(accuracy(0.9),))
    has = {name: metrics.has(one, name) for name in ("latency_s", "macs", "load_s", "top1", "top5")}
    assert has == {"latency_s": True, "macs": True, "load_s": False, "top1": True, "top5": False}
    assert [metrics.is_accuracy(one, name) for name in ("top1", "latency_s", "stage_share/x")] == [
        True,
        False,
        False,
    ]
    assert metrics.is_machine_bound(one, "latency_s")
    assert metrics.is_machine_bound(one, "stage_share/x")
    assert not metrics.is_machine_bound(one, "macs")
    assert not metrics.is_machine_bound(one, "top1")


def test_counts_are_divided_only_where_both_are_whole() -> None:
    one, two = (record(INT8, values={"macs": (number,)}) for number in (10.0, 4.0))
    assert metrics.counted_ratio(one, two, "macs") == 2.5
    assert metrics.counted_ratio(one, record(INT8), "macs") is None
    assert metrics.counted_ratio(record(INT8), one, "macs") is None
    zero = record(INT8, values={"macs": (0.0,)})
    assert metrics.counted_ratio(one, zero, "macs") is None
    assert metrics.counted_ratio(zero, one, "macs") is None
    part = record(INT8, values={"macs": (4.0,)}, uncounted={"Scan": 2, "GridSample": 1})
    assert metrics.counted_ratio(one, part, "macs") is None
    assert metrics.counted_ratio(part, one, "macs") is None
    assert metrics.uncounted(part, "macs") == ("1 GridSample", "2 Scan")
    assert metrics.uncounted(part, "parameters") == ()


def test_ratios_of_ratios() -> None:
    # Twice the yardstick before, three times now: half as much again.
    sized = [record(INT8, values={"artifact_bytes": (v,)}) for v in (12.0, 4.0, 8.0, 4.0)]
    found = metrics.ratio_of_ratios(
        (sized[0], sized[1]), (sized[2], sized[3]), "artifact_bytes", "median"
    )
    assert found == Interval(1.5, 1.5, 1.5)
    nothing = record(INT8, values={"artifact_bytes": (0.0,)})
    for now, before in (
        ((sized[0], nothing), (sized[2], sized[3])),
        ((sized[0], sized[1]), (nothing, sized[3])),
    ):
        assert metrics.ratio_of_ratios(now, before, "artifact_bytes", "median") is None
    timed = [record(INT8, v, v) for v in (0.3, 0.1, 0.4, 0.2)]
    loaded = [record(INT8, values={"load_s": (v, v)}) for v in (0.3, 0.1, 0.4, 0.2)]
    for metric, some in (("latency_s", timed), ("load_s", loaded)):
        found = metrics.ratio_of_ratios((some[0], some[1]), (some[2], some[3]), metric, "median")
        assert found is not None and found.value == pytest.approx(1.5)


def test_the_statistic_counts_for_ratios_of_ratios() -> None:
    # Medians 1, 95th percentiles 3.7.
    tail = {0: (1.0, 1.0, 4.0), 1: (1.0, 1.0, 4.0)}
    one, flat = record(INT8, latencies_s=tail), record(INT8, 1.0, 1.0)
    for statistic, value in (("median", 1.0), ("p95", 3.7)):
        found = metrics.ratio_of_ratios((one, flat), (flat, flat), "latency_s", statistic)  # type: ignore[arg-type]
        assert found is not None and found.value == pytest.approx(value)
        plain = metrics.ratio_between_runs(one, flat, "latency_s", statistic)  # type: ignore[arg-type]
        assert plain is not None and plain.value == pytest.approx(value)
        paired = metrics.ratio(one, flat, "latency_s", statistic)  # type: ignore[arg-type]
        assert paired is not None and paired.value == pytest.approx(value)


def test_small_counts_are_counts() -> None:
    half = [record(INT8, values={"artifact_bytes": (v,)}) for v in (0.5, 0.5, 0.5, 0.5)]
    found = metrics.ratio_of_ratios((half[0], half[1]), (half[2], half[3]), "artifact_bytes", "p95")
    assert found == Interval(1.0, 1.0, 1.0)
    assert metrics.counted_ratio(record(INT8, values={"macs": (0.5,)}), half[0], "macs") is None
    small = [record(INT8, values={"macs": (v,)}) for v in (0.25, 0.5)]
    assert metrics.counted_ratio(small[0], small[1], "macs") == 0.5


def test_the_same_samples_are_told_by_their_values() -> None:
    one, other = record(INT8, 0.1, 0.2), record(INT8, 0.1, 0.3)
    assert metrics.same_samples(one, one, "latency_s")
    assert not metrics.same_samples(one, other, "latency_s")
    sized = [record(INT8, 0.1, values={"macs": (v,)}) for v in (1.0, 2.0)]
    assert metrics.same_samples(sized[0], sized[0], "macs")
    assert not metrics.same_samples(*sized, "macs")
    assert not metrics.same_samples(one, sized[0], "macs")


def test_a_loss_is_exactly_nothing_only_for_the_same_artifact_and_answers() -> None:
    def of(artifact: str, value: float = 0.9) -> Interval | None:
        variant = record(INT8, accuracies=(accuracy(value),), artifact=artifact)
        return metrics.loss(base, variant, "top1")

    base = record(EAGER, accuracies=(accuracy(0.9),), artifact="a")
    assert of("a") == Interval(0.0, 0.0, 0.0)
    other = of("b")
    assert other is not None and (other.value, other.high) == (0.0, pytest.approx(0.15))
    changed = of("a", 0.8)
    assert changed is not None and changed.value == pytest.approx(10.0)
    for one, two in ((base, record(INT8)), (record(INT8), base)):
        with pytest.raises(ValueError, match=r"^both records must have an accuracy by top1$"):
            metrics.loss(one, two, "top1")
        assert metrics.known_loss(one, two) is None
        assert metrics.known_loss(one, two, "top1") is None


def test_without_a_name_the_main_accuracy_is_meant() -> None:
    base = record(EAGER, accuracies=(accuracy(0.9), accuracy(0.99, metric="top5")))
    variant = record(INT8, accuracies=(accuracy(0.98, metric="top5"), accuracy(0.7)))
    found = metrics.known_loss(base, variant)
    assert found is not None and found.value == pytest.approx(1.0)
    named = metrics.known_loss(base, variant, "top1")
    assert named is not None and named.value == pytest.approx(20.0)
    other = record(INT8, accuracies=(accuracy(0.9, digest="e"),))
    assert metrics.known_loss(base, other) is None


def test_what_is_realised_may_be_held_against_a_baseline() -> None:
    held = budget(against=None, baseline=True, min_realised=0.7, cell=INT8.key)
    before = run(record(INT8, 0.16, 0.1601, values={"macs": (200.0,)}))
    now = run(record(INT8, 0.1, 0.1001, values={"macs": (100.0,)}), budgets=(held,))
    verdict = next(one for one in judge(now, before).verdicts if one.budget == "b")
    assert verdict.status == "pass"
    assert verdict.estimate is not None and verdict.estimate.value == pytest.approx(0.8, abs=0.001)


def test_of_what_is_better_higher_the_bad_end_is_the_low_one() -> None:
    life = Metric("battery_h", "h", better="higher", floor=0.05)

    def held(*hours: float) -> object:
        return run(record(INT8, values={"battery_h": hours}), metrics=(life,))

    unsure = only(judge(held(6.0, 9.0), held(10.0, 10.0)).verdicts)  # type: ignore[arg-type]
    assert unsure.status == "inconclusive"
    sure = only(judge(held(8.0, 8.01), held(10.0, 10.0)).verdicts)  # type: ignore[arg-type]
    assert sure.status == "regressed"

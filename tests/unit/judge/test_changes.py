"""What is said of a change between two runs, as data: regressions, and why none can be told."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from judged_runs import EAGER, INT8, MACHINE, accuracy, other_machine, record, run

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Record, Run
from perfsuite.domain.verdict import Difference, Interval, Reason, Verdict
from perfsuite.judge import judge
from perfsuite.judge.comparability import MeasuredChange, change

FAST = record(INT8, 0.01, 0.01, values={"macs": (5.0,)})
SLOW = record(EAGER, 0.1, 0.1, values={"macs": (10.0,)})


def regressions(now: Record, before: Record, **fields: Any) -> tuple[Verdict, ...]:
    return judge(run(now, **fields), run(before)).verdicts


def test_all_that_a_regression_says() -> None:
    before = record(INT8, 0.010, 0.010, accuracies=(accuracy(0.93),))
    now = record(INT8, 0.012, 0.012, accuracies=(accuracy(0.90),))
    time, lost = regressions(now, before)
    assert time.estimate is not None and lost.estimate is not None
    assert time.estimate.value == pytest.approx(0.2)
    assert lost.estimate.value == pytest.approx(3.0)
    assert [msgspec.structs.replace(one, estimate=None) for one in (time, lost)] == [
        Verdict(
            "regressed", "regression", INT8.key, "latency_s", "regression", "baseline", 0.03,
            unit="s", noise="unknown", between=0.0,
        ),
        Verdict("regressed", "regression", INT8.key, "top1", "regression", "baseline", 0.1),
    ]  # fmt: skip


def test_times_of_inputs_of_other_shapes_are_not_compared() -> None:
    large, small = ({"x": ((1, 3, side, side),)} for side in (640, 320))
    before = record(INT8, 0.010, 0.010, input_shapes=large, accuracies=(accuracy(0.93),))
    now = record(INT8, 0.012, 0.012, input_shapes=small, accuracies=(accuracy(0.93),))
    time, lost = regressions(now, before)
    reason = Reason("other_shapes", names=("x 1x3x320x320", "x 1x3x640x640"))
    assert (time.status, time.reason) == ("incomparable", reason)
    assert lost.status == "pass"
    untold = msgspec.structs.replace(before, input_shapes={})  # by an earlier version
    assert regressions(now, untold)[0].status == "regressed"


def test_what_the_baseline_alone_has() -> None:
    before = record(INT8, 0.01, 0.01, accuracies=(accuracy(0.93),))
    both = (
        Verdict(
            "missing", "regression", INT8.key, name, "regression", "baseline",
            reason=Reason("lost_metric", names=(name,)),
        )
        for name in ("latency_s", "top1")
    )  # fmt: skip
    assert regressions(record(INT8), before) == tuple(both)
    (gone,) = judge(run(SLOW, recipes=(FP32,)), run(SLOW, FAST)).verdicts[1:]
    assert gone == Verdict(
        "missing", "regression", INT8.key, "status", "regression", "baseline",
        reason=Reason("gone"),
    )  # fmt: skip


def test_accuracies_that_cannot_be_compared_between_runs() -> None:
    before = record(INT8, accuracies=(accuracy(0.93),))
    (other,) = regressions(record(INT8, accuracies=(accuracy(0.93, digest="e"),)), before)
    assert (other.status, other.estimate, other.limit) == ("incomparable", None, 0.1)
    assert other.reason == Reason(
        "other_samples",
        text="accuracies with another test samples (digest): d and e; "
        "evaluate both on the same samples",
    )
    (broken,) = regressions(record(INT8, accuracies=(accuracy(math.nan),)), before)
    assert (broken.status, broken.estimate) == ("inconclusive", None)
    assert broken.reason == Reason("not_a_number", names=("top1",))


def test_times_that_cannot_be_compared_between_runs() -> None:
    two = run(record(INT8, 0.01, 0.01))
    machine = change(INT8, two, other_machine(two), "latency_s")
    assert machine.reason == Reason(
        "other_machine",
        differences=(
            Difference("processor", "A", "B"),
            Difference("flags", ("avx2", "avx512f"), ("avx2",)),
            Difference("caches_bytes", {"L1d": 32768}, {"L1d": 32768, "L2": 1}),
            Difference("usable_cores", 2, 64),
        ),
    )
    assert (machine.status, machine.ratio, machine.yardstick) == ("incomparable", None, "")
    few = change(INT8, run(record(INT8, 0.011)), run(record(INT8, 0.01)), "latency_s")
    assert (few.reason, few.status) == (Reason("too_few_in_a_run"), "inconclusive")


def test_without_a_common_cell_there_is_no_yardstick() -> None:
    """By ratio, a cell of another batch is no measure of this one."""
    now = run(record(INT8, 0.01, 0.01), compare="ratio")
    batch = Cell("vgg", "fp32", "pytorch", batch=8)
    before = run(record(INT8), record(batch, 0.1, 0.1), environment=MACHINE)
    found = change(INT8, now, before, "latency_s")
    assert (found.reason, found.status) == (Reason("no_yardstick"), "incomparable")


def by_ratio(*times_s: float, name: str = "load_s") -> Run:
    """Return a run of the yardstick, and of the cell itself, in two processes each."""
    eager, int8 = times_s[: len(times_s) // 2], times_s[len(times_s) // 2 :]
    return run(
        record(EAGER, values={name: eager}), record(INT8, values={name: int8}), compare="ratio"
    )


def test_by_ratio_the_same_measurements_have_not_changed_however_few() -> None:
    one = by_ratio(1.0, 2.0)
    same = change(INT8, one, one, "load_s")
    assert same == MeasuredChange(Interval(1.0, 1.0, 1.0), None, EAGER.key)
    # Another yardstick, or another time of its own, is another measurement: one process is too few.
    for other in (by_ratio(1.1, 2.0), by_ratio(1.0, 2.1)):
        found = change(INT8, other, one, "load_s")
        assert found == MeasuredChange(None, Reason("too_few_in_a_run"), EAGER.key)
        assert found.status == "inconclusive"
        # The yardstick against itself is 1 by definition.
        assert change(EAGER, other, one, "load_s").ratio == Interval(1.0, 1.0, 1.0)


def test_by_ratio_a_change_has_no_reason() -> None:
    found = change(INT8, by_ratio(1.0, 1.0, 3.0, 3.0), by_ratio(2.0, 2.0, 4.0, 4.0), "load_s")
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(1.5)
    assert (found.reason, found.yardstick) == (None, EAGER.key)


def test_a_cell_that_only_one_run_has_with_a_value_is_no_yardstick() -> None:
    now = by_ratio(1.0, 1.0, 3.0, 3.0)
    lacking = run(record(EAGER, 0.1), record(INT8, values={"load_s": (4.0, 4.0)}), compare="ratio")
    for one, other in ((now, lacking), (lacking, now)):
        assert change(INT8, one, other, "load_s").yardstick == INT8.key  # the first that both have


def test_times_of_two_cards_are_not_compared() -> None:
    one, other = DeviceIdentity("cuda", "NVIDIA One"), DeviceIdentity("cuda", "NVIDIA Two")

    def on(device: DeviceIdentity | None, seconds: float = 0.01) -> Run:
        return run(record(INT8, seconds, seconds, device=device, values={"macs": (1.0,)}))

    found = change(INT8, on(one), on(other), "latency_s")
    assert found == MeasuredChange(None, Reason("other_device", names=("NVIDIA One", "NVIDIA Two")))
    assert change(INT8, on(one), on(other), "macs").ratio == Interval(1.0, 1.0, 1.0)
    for here, there in ((one, one), (one, None), (None, one), (None, None)):
        changed = change(INT8, on(here), on(there, 0.02), "latency_s")
        assert changed.reason is None
        assert changed.ratio is not None and changed.ratio.value == pytest.approx(0.5)

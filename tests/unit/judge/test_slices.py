"""Processes that took turns are compared slice by slice."""

from __future__ import annotations

import math

import msgspec
import pytest
from judged_runs import EAGER, INT8, record

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Part, Record, Slices
from perfsuite.judge import intervals, metrics


def test_the_pair_is_the_slice_by_hand() -> None:
    # Slices (2, 4), (6,), (10, 20, 90) of medians 3, 6, 20, and (1,), (1, 3, 5), (5,) of 1, 3, 5:
    # ratios 3, 2 and 4, and their median is 3.
    one, other = [2.0, 4.0, 6.0, 10.0, 20.0, 90.0], [1.0, 1.0, 3.0, 5.0, 5.0]
    found = intervals.log_ratio_of_slices(one, (2, 1, 3), other, (1, 3, 1))
    assert found == pytest.approx(math.log(3.0))
    turned = intervals.log_ratio_of_slices(other, (1, 3, 1), one, (2, 1, 3))
    assert turned == pytest.approx(-math.log(3.0))


def test_what_only_one_has_is_not_compared() -> None:
    found = intervals.log_ratio_of_slices([2.0, 2.0, 900.0], (2, 1), [1.0], (1,))
    assert found == pytest.approx(math.log(2.0))
    turned = intervals.log_ratio_of_slices([1.0], (1,), [2.0, 2.0, 900.0], (2, 1))
    assert turned == pytest.approx(-math.log(2.0))
    assert intervals.log_ratio_of_slices([], (), [1.0], (1,)) is None
    assert intervals.log_ratio_of_slices([1.0], (1,), [], (0,)) is None


def test_an_empty_slice_has_no_median() -> None:
    found = intervals.log_ratio_of_slices([4.0], (0, 1), [2.0], (1,))
    assert found == pytest.approx(math.log(2.0))


def sliced(
    cell: Cell, samples: tuple[float, ...], counts: tuple[int, ...], together: str = "a b"
) -> Record:
    slices = {0: Slices(together, counts)} if counts else {}
    return record(cell, latencies_s={0: samples}, slices=slices)


A = sliced(EAGER, (2.0, 2.0, 30.0), (2, 1))
B = sliced(INT8, (1.0, 10.0, 10.0), (1, 2))


def test_slices_of_processes_that_took_turns_with_each_other_are_paired() -> None:
    # Slices 2 / 1 and 30 / 10: the median of the logarithms of 2 and 3; of the whole, 2 / 10.
    both = (math.log(2.0) + math.log(3.0)) / 2.0
    assert metrics.log_ratios(A, B) == pytest.approx([both])
    whole = [math.log(0.2)]
    assert metrics.log_ratios(sliced(EAGER, (2.0, 2.0, 30.0), ()), B) == pytest.approx(whole)
    assert metrics.log_ratios(A, sliced(INT8, (1.0, 10.0, 10.0), ())) == pytest.approx(whole)
    strangers = sliced(INT8, (1.0, 10.0, 10.0), (1, 2), together="c")
    assert metrics.log_ratios(A, strangers) == pytest.approx(whole)
    # Other statistics are those of whole processes.
    tail = metrics.log_ratios(A, B, "latency_s", "p95")
    assert tail == pytest.approx([math.log((2.0 + 0.9 * 28.0) / 10.0)])


def test_a_reference_with_several_processes_is_paired_with_who_took_turns_with_each() -> None:
    parts = {
        0: (
            Part((7.0,), Slices("a b.2", (1,))),
            Part((3.0, 3.0), Slices("a b.1", (1, 1))),
            Part((0.0,), Slices("a b.3", (1,))),
        )
    }
    reference = msgspec.structs.replace(A, parts=parts)
    first, second = B, sliced(INT8, (1.0, 1.0), (1, 1), together="a b.1")
    both = (math.log(2.0) + math.log(3.0)) / 2.0
    assert metrics.log_ratios(reference, first) == pytest.approx([both])
    assert metrics.log_ratios(reference, second) == pytest.approx([math.log(3.0)])
    assert metrics.log_ratios(second, reference) == pytest.approx([-math.log(3.0)])
    # With an invalid one, whole processes are compared.
    third = sliced(INT8, (1.0,), (1,), together="a b.3")
    assert metrics.log_ratios(reference, third) == pytest.approx([math.log(2.0)])


def test_rounds_that_cannot_be_used_or_are_not_in_both_are_left_out() -> None:
    bad = record(INT8, latencies_s={0: (1.0, 0.0, 1.0)}, slices={0: Slices("a b", (1, 2))})
    assert metrics.log_ratios(A, bad) == []
    assert metrics.log_ratios(bad, A) == []
    zero = record(INT8, latencies_s={0: (0.0, 1.0)}, slices={0: Slices("a b", (1, 1))})
    assert metrics.log_ratios(A, zero) == []  # and no division by a slice's median of 0
    more = record(EAGER, latencies_s={0: (1.0,), 1: (1.0, 0.0), 2: (3.0,)})
    others = record(INT8, latencies_s={1: (1.0,), 2: (1.0,)})
    assert metrics.log_ratios(more, others) == pytest.approx([math.log(3.0)])
    later = record(INT8, latencies_s={1: (1.0,)}, slices={1: Slices("a b", (1,))})
    assert metrics.log_ratios(A, later) == []

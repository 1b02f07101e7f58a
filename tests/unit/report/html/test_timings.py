"""Which processes took turns with which, and the medians of their slices."""

from __future__ import annotations

import pytest
from reported_run import run
from taken_in_turns import taken_in_turns

from perfsuite.report.html.timings import groups_of, processes


def test_processes_of_a_group_took_turns_with_each_other() -> None:
    found = taken_in_turns()
    first, second, *_ = found.records.values()
    groups = groups_of(found)
    assert [one.together for one in processes(first, groups)] == [(second.cell.key,)] * 4
    assert [one.together for one in processes(second, groups)] == [(first.cell.key,)] * 4


def test_each_slice_has_its_median() -> None:
    record = next(iter(taken_in_turns().records.values()))
    one = processes(record, {})[0]
    samples = record.latencies_s[0]
    assert one.slices_s == pytest.approx(((samples[0] + samples[1]) / 2, samples[2], samples[4]))
    assert (one.calls, one.fastest_s, one.slowest_s) == (6, samples[0], samples[5])


def test_a_process_without_slices_is_one_slice() -> None:
    record = next(iter(run().records.values()))
    assert [one.slices_s for one in processes(record, {})] == [
        (0.0123,),
        (0.0125,),
        (0.0121,),
        (0.0124,),
    ]
    assert {one.together for one in processes(record, {})} == {()}

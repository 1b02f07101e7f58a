"""Traces of hand-made breakdowns."""

from __future__ import annotations

import json
from typing import Any

from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow
from perfsuite.report.profile.trace import trace

MS = 2.0**-10  # nearly a millisecond, and exact


def operator(
    name: str, time: float, start: float | None = None, macs: int | None = 0
) -> BreakdownRow:
    return BreakdownRow(
        name, "operator", time * MS, macs, start_s=None if start is None else start * MS
    )


def call(*, starts: bool) -> Breakdown:
    """a runs, then b, then a again: as where a shortcut joins."""

    def at(start: float) -> float | None:
        return start if starts else None

    module = BreakdownRow("a.0", "module", 2 * MS, 5, children=(operator("a.0/Conv", 2, at(1), 5),))
    first = BreakdownRow("a", "stage", 3 * MS, 5, children=(module, operator("a/Add", 1, at(8))))
    second = BreakdownRow(
        "b", "stage", 4 * MS, children=(operator("b/X", 1, at(3)), operator("b/Y", 3, at(5)))
    )
    rest = (BreakdownRow(OVERHEAD, "rest", 3 * MS), BreakdownRow(UNATTRIBUTED, "rest", 0.0))
    return Breakdown(10 * MS, 5, (first, second, *rest))


def slices(text: str, category: str) -> list[tuple[str, float, float]]:
    return [
        (one["name"], one["ts"] / 1e6 / MS, one["dur"] / 1e6 / MS)
        for one in events(text)
        if one.get("cat") == category
    ]


def events(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["traceEvents"]
    return found


def test_a_stage_is_one_slice_for_each_run_of_its_operators() -> None:
    text = trace({"onnxruntime": call(starts=True)})
    assert slices(text, "call") == [("call", 0, 10)]
    assert slices(text, "stage") == [("a", 1, 2), ("b", 3, 5), ("a", 8, 1)]
    assert slices(text, "operator") == [
        ("a.0/Conv", 1, 2), ("b/X", 3, 1), ("b/Y", 5, 3), ("a/Add", 8, 1),
    ]  # fmt: skip


def test_arguments_carry_exact_times_without_gaps() -> None:
    text = trace({"onnxruntime": call(starts=True)})
    found = {one["name"]: one["args"] for one in events(text) if one.get("cat") == "stage"}
    assert found["b"] == {"time_s": 4 * MS}  # its slice is longer: there is a gap in it
    (whole,) = (one["args"] for one in events(text) if one.get("cat") == "call")
    assert whole == {"time_s": 10 * MS, "calls": 5, "engine_overhead_s": 3 * MS}
    conv = next(one["args"] for one in events(text) if one["name"] == "a.0/Conv")
    assert conv == {"time_s": 2 * MS, "module": "a.0", "macs": 5}


def test_without_starts_operators_follow_each_other_stage_by_stage() -> None:
    text = trace({"openvino": call(starts=False)})
    assert slices(text, "stage") == [("a", 0, 3), ("b", 3, 4)]
    assert [start for _, start, _ in slices(text, "operator")] == [0, 2, 3, 4]
    assert slices(text, "call") == [("call", 0, 10)]


def test_one_start_that_is_not_known_makes_all_unknown() -> None:
    rows = (BreakdownRow("a", "stage", 2 * MS, children=(operator("x", 1, 5), operator("y", 1))),)
    assert slices(trace({"e": Breakdown(2 * MS, 1, rows)}), "stage") == [("a", 0, 2)]


def test_every_engine_has_a_track_with_its_name() -> None:
    text = trace({"pytorch": call(starts=True), "openvino": call(starts=False)})
    names = {
        one["pid"]: one["args"]["name"] for one in events(text) if one["name"] == "process_name"
    }
    assert names == {1: "pytorch", 2: "openvino"}
    assert {one["pid"] for one in events(text) if one["ph"] == "X"} == {1, 2}
    assert all(one["tid"] == 1 for one in events(text))


def test_kernels_without_a_stage_are_seen() -> None:
    rest = BreakdownRow(UNATTRIBUTED, "rest", MS, children=(operator("lost", 1, 0),))
    assert slices(trace({"e": Breakdown(MS, 1, (rest,))}), "stage") == [(UNATTRIBUTED, 0, 1)]


def test_nothing_to_show() -> None:
    assert events(trace({})) == []

"""What holds of the breakdown of any profile."""

from __future__ import annotations

import itertools
import json
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.domain.model import Stage
from perfsuite.domain.profile import (
    OVERHEAD,
    UNATTRIBUTED,
    Breakdown,
    BreakdownRow,
    Kernel,
    Node,
    Profile,
)
from perfsuite.measure.kernels import mean_times
from perfsuite.measure.stages import breakdown
from perfsuite.report.profile.trace import trace

QUIET = settings(deadline=None, max_examples=40)
PATHS = ("stem", "stem.conv", "layer1.0", "layer1.1.conv", "layer10", "head.fc", "other", "")
STAGES = (Stage("early", ("stem", "layer1")), Stage("late", ("head", "layer10")))

seconds = st.floats(0.0, 10.0)


@st.composite
def nodes(draw: st.DrawFn) -> tuple[Node, ...]:
    count = st.one_of(st.none(), st.integers(0, 100))
    found = []
    for index, path in enumerate(PATHS):
        name = f"{path}/Op" if path else "Op"
        inputs, outputs = (f"v{index}",), (f"v{index + 1}",)
        size = draw(st.integers(0, 50))
        found.append(Node(name, "Op", path, inputs, outputs, draw(count), 3, 2 * size, (size,) * 2))
    return tuple(found)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    calls = draw(st.integers(1, 7))
    names = st.sampled_from([f"{path}/Op" if path else "Op" for path in PATHS])
    kernels = []
    for index in range(draw(st.integers(0, 6))):
        times = tuple(draw(seconds) for _ in range(calls))
        origins = tuple(draw(st.lists(names, max_size=3)))
        near = tuple(draw(st.lists(names, max_size=2)))
        kernels.append(Kernel(f"k{index}", "K", times, (), origins, () if origins else near))
    walls, starts = [], []
    for call in range(calls):
        now, begin = 0.0, []
        for one in kernels:
            now += draw(st.floats(0.0, 1.0))
            begin.append(now)
            now += one.times_s[call]
        starts.append(begin)
        walls.append(now + draw(st.floats(0.0, 1.0)))
    if draw(st.booleans()):
        kernels = [
            msgspec.structs.replace(one, starts_s=tuple(begin[i] for begin in starts))
            for i, one in enumerate(kernels)
        ]
    return Profile(tuple(walls), tuple(kernels))


stages = st.sampled_from([(), STAGES])


def check_sums(row: BreakdownRow) -> None:
    if row.children:
        assert sum(child.time_s for child in row.children) == row.time_s
        for count in ("macs", "bytes"):
            parts = [getattr(child, count) for child in row.children]
            assert getattr(row, count) == (None if None in parts else sum(parts))
    for child in row.children:
        check_sums(child)


@QUIET
@given(profiles(), nodes(), stages)
def test_rows_add_up_exactly_at_every_level(
    profile: Profile, graph: tuple[Node, ...], declared: tuple[Stage, ...]
) -> None:
    found = breakdown(profile, graph, declared)
    assert sum(row.time_s for row in found.rows) == found.total_s
    assert sum(row.time_s for row in reversed(found.rows)) == found.total_s
    assert all(row.time_s >= 0 for row in found.rows)
    for row in found.rows:
        check_sums(row)
    assert min(profile.walls_s) <= found.total_s + 1e-9
    assert found.total_s <= max(profile.walls_s) + 1e-9


@QUIET
@given(profiles(), nodes(), stages)
def test_every_kernel_and_every_parameter_is_somewhere_once(
    profile: Profile, graph: tuple[Node, ...], declared: tuple[Stage, ...]
) -> None:
    found = breakdown(profile, graph, declared)
    rows = [one for row in found.rows for one in operators(row)]
    assert sorted(one.time_s for one in rows) == sorted(mean_times(profile).kernels_s)
    if declared:  # else a module in which nothing runs has no row
        assert sum(row.parameters or 0 for row in found.rows) == 3 * len(graph)


def operators(row: BreakdownRow) -> list[BreakdownRow]:
    below = [one for child in row.children for one in operators(child)]
    return [row] if row.level == "operator" else below


@QUIET
@given(profiles(), nodes())
def test_names_of_stages_change_nothing_else(profile: Profile, graph: tuple[Node, ...]) -> None:
    before = breakdown(profile, graph, STAGES)
    new = {"early": "zzz", "late": "a"}
    renamed = tuple(Stage(new[one.name], one.modules) for one in STAGES)
    after = breakdown(profile, graph, renamed)
    rows = tuple(
        msgspec.structs.replace(row, name=new.get(row.name, row.name)) for row in before.rows
    )
    assert after.rows == rows
    assert (after.total_s, after.calls) == (before.total_s, before.calls)
    assert len(after.crossing) == len(before.crossing)


@QUIET
@given(profiles(), nodes(), stages, st.randoms(use_true_random=False))
def test_the_order_of_kernels_changes_no_sums(
    profile: Profile, graph: tuple[Node, ...], declared: tuple[Stage, ...], random: object
) -> None:
    kernels = list(profile.kernels)
    random.shuffle(kernels)  # type: ignore[attr-defined]
    before = breakdown(profile, graph, declared)
    after = breakdown(Profile(profile.walls_s, tuple(kernels)), graph, declared)
    assert {r.name: r.time_s for r in before.rows} == {r.name: r.time_s for r in after.rows}
    assert before.total_s == after.total_s
    assert sorted(before.crossing) == sorted(after.crossing)


@QUIET
@given(profiles(), nodes(), stages, st.integers(1, 8))
def test_a_slower_clock_scales_all_rows(
    profile: Profile, graph: tuple[Node, ...], declared: tuple[Stage, ...], exponent: int
) -> None:
    factor = 2.0**exponent
    slower = Profile(
        scaled(profile.walls_s, factor),
        tuple(
            msgspec.structs.replace(one, times_s=scaled(one.times_s, factor))
            for one in profile.kernels
        ),
    )
    before, after = (breakdown(one, graph, declared) for one in (profile, slower))
    assert [row.name for row in before.rows] == [row.name for row in after.rows]
    for old, new in zip(before.rows, after.rows, strict=True):
        assert new.time_s == pytest.approx(old.time_s * factor, abs=1e-9 * factor)
    assert after.total_s == pytest.approx(before.total_s * factor, abs=1e-9 * factor)


def scaled(times_s: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(time * factor for time in times_s)


@QUIET
@given(profiles(), nodes(), stages)
def test_a_breakdown_survives_the_journal(
    profile: Profile, graph: tuple[Node, ...], declared: tuple[Stage, ...]
) -> None:
    found = breakdown(profile, graph, declared)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Breakdown) == found


@QUIET
@given(profiles(), nodes(), stages)
def test_a_trace_tells_the_same_as_the_breakdown(
    profile: Profile, graph: tuple[Node, ...], declared: tuple[Stage, ...]
) -> None:
    found = breakdown(profile, graph, declared)
    events = json.loads(trace({"engine": found}))["traceEvents"]
    slices = [one for one in events if one["ph"] == "X"]
    for row in found.rows:
        own = [s for s in slices if s["cat"] == "stage" and s["name"] == row.name]
        if row.name != OVERHEAD:
            assert sum(one["args"]["time_s"] for one in own) == row.time_s
    (call,) = (one for one in slices if one["cat"] == "call")
    staged = sum(one["args"]["time_s"] for one in slices if one["cat"] == "stage")
    assert staged + call["args"]["engine_overhead_s"] == call["args"]["time_s"] == found.total_s
    check_nesting(slices)


def check_nesting(slices: list[dict[str, float]]) -> None:
    """Slices of one level follow each other and lie in one of the level above."""
    levels = [[s for s in slices if s["cat"] == name] for name in ("call", "stage", "operator")]
    for level in levels:
        for one, other in itertools.pairwise(level):
            assert one["ts"] + one["dur"] <= other["ts"] + 1e-3  # a nanosecond
    for outer, inner in itertools.pairwise(levels):
        for one in inner:
            assert any(
                big["ts"] - 1e-3 <= one["ts"]
                and one["ts"] + one["dur"] <= big["ts"] + big["dur"] + 1e-3
                for big in outer
            )


def test_the_rows_that_are_always_there() -> None:
    found = breakdown(Profile((1.0,), ()), (), ())
    assert [row.name for row in found.rows] == [OVERHEAD, UNATTRIBUTED]
    assert math.fsum(row.time_s for row in found.rows) == 1.0

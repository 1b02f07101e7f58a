"""How many channels stay: shares, the pool of all, and the way of the clock, by hand."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from common_nets import NETS
from hypothesis import given, settings
from hypothesis import strategies as st
from prune_nets import (
    CLASSES,
    SIDE,
    Pyramid,
    Toy,
    by_macs,
    context,
    conv,
    in_stairs,
    pair,
    pictures,
    pooled,
    resnet,
    seeded,
    vgg,
)
from torch import nn

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError
from perfsuite.measure.macs import count_module
from perfsuite.passes.prune import timing, width_search
from perfsuite.passes.prune.channels import channel_groups
from perfsuite.passes.prune.costs import Costs
from perfsuite.passes.prune.costs import costs_of as full_costs
from perfsuite.passes.prune.importance import sums
from perfsuite.passes.prune.surgery import cut
from perfsuite.passes.prune.timing import group_times, lanes, smooth
from perfsuite.passes.prune.width_search import ByClock, keep_best, solve, tried, uniform
from perfsuite.passes.shared.layers import layers_of


def costs_of(net: nn.Module, inputs: Inputs | None = None) -> Costs:
    given_ = inputs or pictures()
    return Costs(layers_of(net, given_), channel_groups(net, given_)[0])


# -- costs -------------------------------------------------------------------------------------


def test_macs_of_a_chain_by_hand() -> None:
    costs = costs_of(seeded(vgg))
    places = 2 * SIDE * SIDE  # of a batch of two
    whole = places * 16 * 3 * 9 + places // 4 * 8 * 16 * 9 + 2 * (32 * 24 + 24 * CLASSES)
    assert costs.macs(costs.full) == whole
    half = {"0": 8, "4": 4, "9": 12}
    assert costs.macs(half) == (
        places * 8 * 3 * 9 + places // 4 * 4 * 8 * 9 + 2 * (16 * 12 + 12 * CLASSES)
    )
    assert costs.group_macs("9", half) == 2 * (16 * 12 + 12 * CLASSES)
    assert (costs.channels(costs.full), costs.channels(half)) == (48, 24)
    assert costs.size("9", {"4": 3}) == (12, 24)


@pytest.mark.parametrize("make", [vgg, lambda: resnet("A"), lambda: resnet("B"), Pyramid])
@given(seed=st.integers(0, 1000))
@settings(max_examples=5, deadline=None, derandomize=True)
def test_macs_are_those_of_the_cut_net(make: Any, seed: int) -> None:
    net = seeded(make)
    groups, _ = channel_groups(net, pictures())
    costs = Costs(layers_of(net, pictures()), groups)
    rng = np.random.default_rng(seed)
    asked = {g.name: int(rng.integers(0 if g.removable else 1, g.width + 1)) for g in groups}
    cut(net, groups, {name: list(range(width)) for name, width in asked.items()})
    assert costs.macs(asked) == count_module(net, pictures()).macs


@pytest.mark.parametrize(
    "layer",
    [
        *(conv(16, 16, groups=4), conv(16, 16, groups=16), conv(16, 16, padding="same")),
        *(conv(16, 16, padding="valid"), conv(16, 16, dilation=2, stride=3)),
        *(nn.Conv2d(16, 16, (1, 3), padding=(2, 0)), conv(16, 16, padding_mode="circular")),
    ],
)
def test_macs_of_all_kinds_of_convolutions(layer: nn.Module) -> None:
    net = Toy(
        lambda n, x: n.head(pooled(n.b(n.a(x)))), a=conv(3, 16), b=layer, head=nn.Linear(16, 4)
    )
    costs = costs_of(net)
    assert costs.macs(costs.full) == count_module(net.eval(), pictures()).macs


def test_layers_called_by_name_or_on_sequences_are_counted() -> None:
    net = Toy(
        lambda n, x: n.head(input=n.up(n.a(input=x).flatten(2).transpose(1, 2)).mean(1)),
        **{"a": conv(3, 16), "up": nn.Linear(16, 32), "head": nn.Linear(32, CLASSES)},
    )
    costs = costs_of(net)
    places = 2 * SIDE * SIDE
    assert costs.macs(costs.full) == places * 16 * 27 + places * 16 * 32 + 2 * 32 * CLASSES
    assert set(costs.full) == {"a", "up"}


@pytest.mark.parametrize(
    "kind", ["unet", "torchs_heads", "grouped", "grouped_large", "c2f", "dense"]
)
def test_macs_of_other_kinds_are_those_of_the_cut_net(kind: str) -> None:
    net = seeded(NETS[kind][0])
    groups, _ = channel_groups(net, pictures())
    groups = [group for group in groups if group.name != "a"]
    costs = full_costs(net, pictures(), groups)
    asked = {group.name: max(1, group.width // 2) for group in groups}
    before = costs.macs(asked)
    cut(net, groups, {name: list(range(width)) for name, width in asked.items()})
    changed = full_costs(net, pictures(), [])
    # The products of attention become fewer too, which is not foreseen.
    attention = 2 * 2 * 4 * SIDE**4 * 2 if kind == "torchs_heads" else 0
    assert before == changed.macs({}) + attention


# -- shares ------------------------------------------------------------------------------------


def test_uniform_takes_the_same_share_and_rounds() -> None:
    costs = costs_of(seeded(vgg))  # 16, 8 and 24 channels
    assert uniform(costs, 0.5, 1) == {"0": 8, "4": 4, "9": 12}
    assert uniform(costs, 0.5, 8) == {"0": 8, "4": 8, "9": 16}  # the nearest: 12 is halfway
    assert uniform(costs, 0.0, 1) == {"0": 1, "4": 1, "9": 1}
    assert uniform(costs, 0.0, 8) == {"0": 8, "4": 8, "9": 8}
    assert uniform(costs, 1.0, 64) == {"0": 16, "4": 8, "9": 24}


def test_the_pool_keeps_the_best_of_all_relative_to_their_group() -> None:
    costs = costs_of(seeded(vgg))
    scores = {"0": np.full(16, 1e6), "4": np.full(8, 1e-6), "9": np.arange(24.0)}
    scores["0"][:4] = 0
    # Relative to the mean: "0" has 12 at 4/3, "4" has all at 1, "9" has 12 of 24 above 1.
    found = width_search.pooled(costs, scores, 24 / 48, 1)
    assert found["0"] == 12
    assert found["4"] == 1  # one stays
    assert found["9"] == 12
    assert sum(width_search.pooled(costs, scores, 1.0, 1).values()) == 48


def test_solving_gives_the_widest_within_the_limit() -> None:
    costs = costs_of(seeded(vgg))
    full = costs.macs(costs.full)

    def cost(found: Any) -> float:
        return costs.macs(found) / full

    found = solve(lambda share: uniform(costs, share, 1), cost, 0.5)
    assert cost(found) <= 0.5
    assert cost({name: width + 1 for name, width in found.items()}) > 0.5
    with pytest.raises(BuildError, match=r"down to 0\.\d+ of the whole, and 0.010 is asked for"):
        solve(lambda share: uniform(costs, share, 1), cost, 0.01)


def test_the_best_channels_stay_in_order() -> None:
    scores = {"a": np.array([0.1, 5.0, 3.0, 4.0]), "b": np.zeros(3)}
    assert keep_best(scores, {"a": 2, "b": 0}) == {"a": [1, 3], "b": []}
    assert keep_best(scores, {"a": 4, "b": 2}) == {"a": [0, 1, 2, 3], "b": [0, 1]}


@pytest.mark.parametrize(
    ("full", "expected"),
    [
        (4, [4]),
        (8, [8]),
        (10, [8, 10]),
        (64, [8, 16, 24, 32, 40, 48, 56, 64]),
        (512, [64, 128, 192, 256, 320, 384, 448, 512]),
    ],
)
def test_some_eight_widths_are_tried(full: int, expected: list[int]) -> None:
    costs = costs_of(pair(a=conv(3, full), b=conv(full, 16)).eval())
    assert tried(costs, "a") == expected
    costs = costs_of(seeded(lambda: resnet("B")))
    assert tried(costs, "4.conv1") == [0, 8, 16]  # the branch may go


def test_widths_of_groups_of_channels_are_some_eight_channels_apart() -> None:
    layers = {"a": conv(3, 64), "n": nn.GroupNorm(16, 64), "b": conv(64, 8)}
    net = Toy(lambda n, x: n.head(pooled(n.b(n.n(n.a(x))))), **layers, head=nn.Linear(8, 4))
    costs = costs_of(net.eval())
    assert costs.each["a"] == 4
    assert tried(costs, "a") == [2, 4, 6, 8, 10, 12, 14, 16]  # groups of four
    times = {("a", width): 1e-6 * width for width in (2, 3, 4, 16)}
    assert [width for _, width in smooth(times, 16, costs.each)] == [4, 16]
    assert lanes({("a", w): -(-w // 8) * 1.0 for w in range(2, 17, 2)}, costs.each) == 32


# -- the clock ---------------------------------------------------------------------------------


def test_stairs_are_told_from_slopes() -> None:
    for count in (8, 16, 32):
        times = {("a", width): 3e-6 + 1e-6 * -(-width // count) for width in range(8, 129, 8)} | {
            ("b", width): 5e-3 * -(-width // count) for width in (8, 24, 40, 56)
        }
        assert lanes(times) == count
    assert lanes({("a", width): 1e-6 * width for width in range(8, 65, 8)}) == 8
    assert lanes({("a", 8): 0.0, ("a", 16): 0.0}) == 8  # nothing to see
    assert lanes({("a", 16): 1e-6}) == 8


def test_smoothing_pools_neighbours_out_of_order() -> None:
    times = {("a", 0): 0.0, ("a", 8): 4.0, ("a", 16): 2.0, ("a", 24): 3.0, ("a", 30): 9.0}
    assert smooth(times, 8) == {
        **{("a", 0): 0.0, ("a", 8): 3.0, ("a", 16): 3.0, ("a", 24): 3.0, ("a", 30): 9.0}
    }
    # 24 is no multiple of 16, 30 is the full width
    assert smooth(times, 16) == {("a", 0): 0.0, ("a", 16): 2.0, ("a", 30): 9.0}
    falling = {("a", 8): 3.0, ("a", 16): 2.0, ("a", 24): 1.0}
    assert smooth(falling, 8) == {("a", 8): 2.0, ("a", 16): 2.0, ("a", 24): 2.0}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_smoothed_times_rise_and_keep_their_sum(values: list[float]) -> None:
    times = {("a", 8 * (index + 1)): value for index, value in enumerate(values)}
    found = list(smooth(times, 8).values())
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(found))
    assert sum(found) == pytest.approx(sum(values))


def by_clock(
    costs: Costs, lost: dict[str, float], times_s: dict[tuple[str, int], float]
) -> ByClock:
    """Return what loses `lost` a channel."""
    losses = {(name, width): lost[name] * (costs.full[name] - width) for name, width in times_s}
    return ByClock(costs, losses, times_s)


def test_the_clock_takes_what_loses_least_for_a_second() -> None:
    costs = costs_of(seeded(vgg))
    times = {
        **{("0", 8): 4.0, ("0", 16): 10.0},  # loses 8 for 6 seconds
        **{("4", 4): 9.0, ("4", 8): 10.0},  # loses 0.4 for 1
        **{("9", 12): 9.5, ("9", 24): 10.0},  # loses nothing, but gains less than a tenth
    }
    clock = by_clock(costs, {"0": 1.0, "4": 0.1, "9": 0.0}, times)
    steps: list[dict[str, int]] = []

    def cost() -> float:
        steps.append(dict(clock.widths))
        return 1 - clock.gained_s / 30

    assert clock.narrow(cost, 0.97) == {"0": 16, "4": 4, "9": 24}
    assert clock.gained_s == pytest.approx(1.0)
    clock.narrow(cost, 0.9)
    # "4" has fewer inputs to save now: half of "4"'s MACs, all of its own
    assert clock.widths == {"0": 8, "4": 4, "9": 24}
    with pytest.raises(BuildError, match="no narrower layer would save more time"):
        clock.narrow(cost, 0.1)
    assert steps[0] == costs.full


def test_a_step_gains_less_where_others_have_narrowed() -> None:
    costs = costs_of(seeded(pair))  # a: 3 to 16, b: 16 to 16 with 3x3, head: 16 to 4
    times = {("a", 8): 5.0, ("a", 16): 10.0, ("b", 8): 5.0, ("b", 16): 10.0}
    clock = by_clock(costs, {"a": 1.0, "b": 2.0}, times)
    clock.narrow(lambda: 1 - clock.gained_s / 10, 0.5)
    assert clock.widths == {"a": 8, "b": 16} and clock.gained_s == 5.0
    clock.narrow(lambda: 1 - clock.gained_s / 10, 0.4)
    places = 2 * SIDE * SIDE
    whole, now = (places * 8 * inside * 9 + 2 * 8 * CLASSES for inside in (16, 8))
    assert clock.gained_s == pytest.approx(5 + 5 * now / whole)


def test_a_clock_without_differences_gives_an_error_and_no_division() -> None:
    costs = costs_of(seeded(vgg))
    for level in (0.0, 3.0):
        times = {(name, width): level for name in costs.full for width in (4, costs.full[name])}
        clock = by_clock(costs, dict.fromkeys(costs.full, 1.0), times)
        with pytest.raises(BuildError, match=r"1\.000 of the whole, and 0\.500 is asked for"):
            clock.narrow(lambda: 1.0, 0.5)


@pytest.mark.parametrize("make", [vgg, lambda: resnet("A"), lambda: resnet("B"), Pyramid, pair])
def test_groups_are_timed_as_nets_that_run(make: Any, tmp_path: Path) -> None:
    net = seeded(make)
    costs = costs_of(net)
    wanted = {name: tried(costs, name) for name in costs.full}
    times = group_times(net, costs, context(tmp_path, clock=by_macs), wanted)
    assert set(times) == {(name, w) for name, some in wanted.items() for w in some}
    for (name, width), time_s in times.items():
        macs = costs.group_macs(name, {**costs.full, name: width})
        # Layers one by one cost a call each, less that of an empty one.
        assert time_s == pytest.approx(1e-9 * macs, abs=1e-7 if width else 0)


@pytest.mark.parametrize(
    "how",
    [
        lambda n, x: n.h(nn.functional.max_pool2d(n.a(x), 2).flatten(1)),  # 4 x 4 of 8 x 8
        lambda n, x: n.h(nn.functional.adaptive_avg_pool2d(n.a(x), (5, 3)).flatten(1)),
        lambda n, x: n.h(n.a(x).flatten(1)),
        lambda n, x: n.h(pooled(n.a(x))),
        lambda n, x: n.h(nn.functional.avg_pool2d(n.a(x), 5, 2).flatten(1)),
    ],
)
def test_flattened_channels_are_timed_as_nets_that_run(how: Any, tmp_path: Path) -> None:
    probe = Toy(how, a=conv(3, 16), h=nn.Identity())
    inputs = probe(torch.from_numpy(pictures()["image"])).shape[1]
    net = Toy(how, a=conv(3, 16), h=nn.Linear(inputs, CLASSES)).eval()
    costs = costs_of(net)
    times = group_times(net, costs, context(tmp_path), {"a": [8, 16]})
    assert times["a", 8] == pytest.approx(times["a", 16] / 2, rel=0.05)


def test_groups_that_are_alike_are_measured_once(tmp_path: Path) -> None:
    layers = {f"c{index}": conv(16, 16) for index in range(4)}
    net = Toy(
        lambda n, x: n.head(pooled(n.c3(n.c2(n.c1(n.c0(n.a(x)).relu()).relu()).relu()))),
        **{"a": conv(3, 16), **layers, "head": nn.Linear(16, 4)},
    ).eval()
    asked = []

    def clock(module: nn.Module, given_: Inputs) -> float:
        asked.append(repr(module))
        return by_macs(module, given_)

    costs = costs_of(net)
    times = group_times(
        net, costs, context(tmp_path, clock=clock), {n: [8, 16] for n in costs.full}
    )
    assert times["c0", 8] == times["c1", 8] == times["c2", 8] != times["a", 8]
    # a-c0, three alike, c3-head; at two widths, beside the empty call, three times each
    assert len(asked) == (3 * 2 + 1) * 3


def test_layers_on_longer_sequences_are_not_alike() -> None:
    net = Toy(
        lambda n, x: n.head(n.b(x.flatten(2)).mean(1) + n.c(x.flatten(2)[:, :2]).mean(1)),
        **{"b": nn.Linear(SIDE**2, 16), "c": nn.Linear(SIDE**2, 16), "head": nn.Linear(16, 4)},
    )
    layers = layers_of(net, pictures())
    assert timing._settings(layers["b"]) != timing._settings(layers["c"])


def test_stairs_of_sixteen_give_widths_of_sixteen(tmp_path: Path) -> None:
    net = seeded(lambda: pair(a=conv(3, 64), b=conv(64, 72), head=nn.Linear(72, CLASSES)))
    costs = costs_of(net)
    wanted = {name: tried(costs, name) for name in costs.full}
    times = group_times(net, costs, context(tmp_path, clock=in_stairs), wanted)
    assert lanes(times) == 16
    smoothed = smooth(times, 16)
    assert sorted(w for name, w in smoothed if name == "a") == [16, 32, 48, 64]
    assert sorted(w for name, w in smoothed if name == "b") == [16, 32, 48, 64, 72]
    groups = list(costs.groups.values())
    scores = {name: np.ones(full) for name, full in costs.full.items()}
    choices = {name: [w for n, w in smoothed if n == name] for name in costs.full}
    clock = ByClock(costs, sums(groups, scores, choices), smoothed)
    found = clock.narrow(lambda: costs.macs(clock.widths) / costs.macs(costs.full), 0.5)
    assert all(width % 16 == 0 or width == costs.full[name] for name, width in found.items())
    assert costs.macs(found) <= 0.5 * costs.macs(costs.full)

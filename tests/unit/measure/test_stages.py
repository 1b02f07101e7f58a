"""Breakdowns of profiles by hand: whose kernels are whose, and what they did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

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
from perfsuite.errors import ConfigError, PerfsuiteError, Unsupported
from perfsuite.measure.stages import breakdown, check_stages

BIT = 2.0**-10  # a time that doubles hold exactly: rows are compared by ==


def kernel(name: str, time: float, *origins: str, **fields: Any) -> Kernel:
    return Kernel(name, "K", (time * BIT,), origins=origins, **fields)


def profile(*kernels: Kernel, wall: float = 100.0) -> Profile:
    return Profile((wall * BIT,), kernels)


def node(name: str, macs: int | None = 0, **fields: Any) -> Node:
    kind = name.rpartition("/")[2]
    path = name.rpartition("/")[0]
    return Node(
        name, kind, path, fields.pop("inputs", ()), fields.pop("outputs", ()), macs, **fields
    )


def times(found: Breakdown) -> dict[str, float]:
    return {row.name: row.time_s / BIT for row in found.rows}


def rows(found: Breakdown) -> dict[str, BreakdownRow]:
    return {row.name: row for row in found.rows}


def tree(row: BreakdownRow) -> Any:
    return {child.name: tree(child) for child in row.children} if row.children else row.time_s / BIT


BACKBONE = Stage("backbone", ("layer1", "stem"))
HEAD = Stage("head", ("layer10", "layer1.neck"))


def test_the_longest_prefix_of_whole_segments_wins() -> None:
    found = breakdown(
        profile(
            kernel("a", 1, "stem/Conv"),
            kernel("b", 2, "layer1.0.conv/Conv"),
            kernel("c", 4, "layer10.conv/Conv"),
            kernel("d", 8, "layer1.neck.fc/Gemm"),
            kernel("e", 16, "other/Conv"),
        ),
        (),
        (BACKBONE, HEAD),
    )
    assert times(found) == {"backbone": 3, "head": 12, OVERHEAD: 69, UNATTRIBUTED: 16}
    assert found.total_s == 100 * BIT
    assert [row.level for row in found.rows] == ["stage", "stage", "rest", "rest"]
    assert [child.name for child in rows(found)[UNATTRIBUTED].children] == ["e"]


def test_rows_come_in_the_order_in_which_they_run() -> None:
    kernels = (kernel("c", 4, "layer10/Conv"), kernel("a", 1, "stem/Conv"))
    found = breakdown(profile(*kernels), (), (BACKBONE, HEAD))
    assert [row.name for row in found.rows] == ["head", "backbone", OVERHEAD, UNATTRIBUTED]


def test_a_method_is_a_stage_inside_of_a_module() -> None:
    stages = (Stage("rpn head", ("rpn",)), Stage("proposals", ("rpn.filter_proposals",)))
    kernels = (kernel("a", 1, "rpn.head.conv/conv"), kernel("b", 2, "rpn.filter_proposals/nms"))
    found = times(breakdown(profile(*kernels), (), stages))
    assert (found["rpn head"], found["proposals"]) == (1, 2)


def test_a_fused_kernel_belongs_to_its_most_expensive_operator() -> None:
    nodes = (node("stem/Relu", 0, bytes=50), node("layer10/Conv", 100), node("layer10/Add", 0))
    found = breakdown(
        profile(kernel("fused", 3, "stem/Relu", "layer10/Add", "layer10/Conv")),
        nodes,
        (BACKBONE, HEAD),
    )
    assert times(found) == {"head": 3, "backbone": 0, OVERHEAD: 97, UNATTRIBUTED: 0}
    assert found.crossing == ("fused (head, backbone)",)


def test_of_operators_without_products_the_one_that_moves_most_owns_the_kernel() -> None:
    nodes = (node("stem/Relu", 0, bytes=50), node("layer10/Add", 0, bytes=60))
    kernels = profile(kernel("fused", 3, "stem/Relu", "layer10/Add"))
    assert times(breakdown(kernels, nodes, (BACKBONE, HEAD)))["head"] == 3


def test_an_operator_of_unknown_cost_is_more_than_none() -> None:
    nodes = (node("stem/Relu", 0, bytes=50), node("layer10/Gemm", None))
    kernels = profile(kernel("fused", 3, "stem/Relu", "layer10/Gemm"))
    assert times(breakdown(kernels, nodes, (BACKBONE, HEAD)))["head"] == 3


def test_rounding_owns_no_kernel_and_crosses_no_border() -> None:
    nodes = (node("stem/DequantizeLinear", 0, bytes=99), node("layer10/Conv", 0, bytes=1))
    kernels = profile(kernel("fused", 3, "stem/DequantizeLinear", "layer10/Conv"))
    found = breakdown(kernels, nodes, (BACKBONE, HEAD))
    assert times(found)["head"] == 3
    assert found.crossing == ()
    alone = profile(kernel("first", 3, "stem/DequantizeLinear"))
    assert times(breakdown(alone, nodes, (BACKBONE, HEAD)))["backbone"] == 3


def test_what_an_engine_put_in_belongs_to_its_nearest_neighbour_with_a_stage() -> None:
    found = breakdown(
        profile(
            kernel("a", 1, "stem/Conv"),
            kernel("reorder", 2, neighbours=("other/Conv", "layer10/Conv", "stem/Conv")),
            kernel("lost", 4, neighbours=("other/Conv",)),
            kernel("alone", 8),
        ),
        (node("stem/Conv", 5), node("layer10/Conv", 5), node("other/Conv", 5)),
        (BACKBONE, HEAD),
    )
    assert times(found) == {"backbone": 1, "head": 2, OVERHEAD: 85, UNATTRIBUTED: 12}
    assert (rows(found)["head"].macs, rows(found)["head"].bytes) == (0, 0)


def test_names_that_an_engine_made_up_are_no_origins() -> None:
    nodes = (node("stem/Conv", 5, outputs=("c",)),)
    kernels = (kernel("m", 2, "Multiply_4711", neighbours=("stem/Conv",)), kernel("x", 4, "Add_1"))
    assert times(breakdown(profile(*kernels), nodes, ())) == {
        "stem": 2,
        OVERHEAD: 94,
        UNATTRIBUTED: 4,
    }


def test_without_stages_the_first_modules_are_the_stages() -> None:
    kernels = (
        kernel("a", 1, "stem.conv/Conv"),
        kernel("b", 2, "stem.pool/MaxPool"),
        kernel("c", 4, "fc/Gemm"),
        kernel("d", 8, "/Flatten"),
    )
    found = breakdown(profile(*kernels), (), ())
    assert times(found) == {"stem": 3, "fc": 4, "Flatten": 8, OVERHEAD: 85, UNATTRIBUTED: 0}


def test_a_module_round_everything_is_no_stage() -> None:
    kernels = (kernel("a", 1, "model.net.stem.conv/Conv"), kernel("b", 2, "model.net.fc/Gemm"))
    found = breakdown(profile(*kernels), (), ())
    assert [row.name for row in found.rows[:2]] == ["model.net.stem", "model.net.fc"]


def test_a_graph_without_paths_is_told_apart_by_operators() -> None:
    nodes = (
        Node("n0", "Conv", "", ("x",), ("c",), 10),
        Node("n1", "Relu", "", ("c",), ("r",), 0),
        Node("n2", "Gemm", "", ("r",), ("y",), 10),
    )
    found = breakdown(profile(kernel("k0", 1, "n0", "n1"), kernel("k1", 2, "n2")), nodes, ())
    assert times(found) == {"Conv": 1, "Gemm": 2, OVERHEAD: 97, UNATTRIBUTED: 0}
    assert found.crossing == ()  # neither is a module whose border could be crossed


def test_modules_nest_as_deep_as_they_go_and_single_ones_collapse() -> None:
    kernels = (
        kernel("a", 1, "net.body.layer1.0.conv1/Conv"),
        kernel("b", 2, "net.body.layer1.0.conv2/Conv"),
        kernel("b2", 4, "net.body.layer1.0.conv2/Relu"),
        kernel("c", 8, "net.body.layer1/Add"),
        kernel("d", 16, "net.body.layer2.0.conv1/Conv"),
        kernel("e", 32, "fc/Gemm"),
    )
    found = breakdown(profile(*kernels), (), (Stage("all", ("net", "fc")),))
    assert tree(rows(found)["all"]) == {
        "net.body": {
            "net.body.layer1": {
                "net.body.layer1.0": {
                    "net.body.layer1.0.conv1": {"a": 1},
                    "net.body.layer1.0.conv2": {"b": 2, "b2": 4},
                },
                "c": 8,
            },
            "net.body.layer2.0.conv1": {"d": 16},
        },
        "fc": {"e": 32},
    }


def test_a_stage_stands_for_its_own_module() -> None:
    found = breakdown(profile(kernel("a", 1, "stem.conv/Conv")), (), (BACKBONE,))
    assert tree(rows(found)["backbone"]) == {"a": 1}


def test_times_are_means_over_the_calls_between_the_quartiles() -> None:
    walls = (40.0, 10.0, 12.0, 14.0, 90.0, 1.0)  # quartiles 10.5 and 33.5: the calls of 12 and 14
    parts = (30.0, 1.0, 2.0, 4.0, 80.0, 0.5)
    starts = (9.0, 1.0, 2.0, 6.0, 9.0, 0.5)

    def exact(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(value * BIT for value in values)

    one = Kernel("a", "K", exact(parts), exact(starts), ("stem/Conv",))
    found = breakdown(Profile(exact(walls), (one,)), (), ())
    assert found.calls == 2
    assert found.total_s == 13 * BIT
    assert times(found) == {"stem": 3, OVERHEAD: 10, UNATTRIBUTED: 0}
    assert rows(found)["stem"].children[0].start_s == 4 * BIT


def test_three_calls_are_too_few_for_quartiles() -> None:
    one = Kernel("a", "K", (1 * BIT, 2 * BIT, 6 * BIT), origins=("stem/Conv",))
    found = breakdown(Profile((3 * BIT, 6 * BIT, 9 * BIT), (one,)), (), ())
    assert (found.calls, found.total_s, times(found)["stem"]) == (3, 6 * BIT, 3)


def test_a_kernel_that_fills_the_call_leaves_nothing() -> None:
    one = Kernel("a", "K", (0.1, 0.2, 0.3), origins=("stem/Conv",))
    two = Kernel("b", "K", (0.3, 0.3, 0.3), origins=("stem/Conv",))
    found = breakdown(Profile((0.4, 0.5, 0.6), (one, two)), (), ())
    assert rows(found)[OVERHEAD].time_s == 0
    assert sum(row.time_s for row in found.rows) == found.total_s


def test_overlapping_kernels_are_an_error() -> None:
    with pytest.raises(Unsupported, match="at the same time"):
        breakdown(profile(kernel("a", 60, "a/X"), kernel("b", 60, "b/X")), (), ())


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Profile((), ()), "without any call"),
        (Profile((1.0, 1.0), (Kernel("a", "K", (0.5,)),)), "'a' has 1 times for 2 calls"),
        (Profile((1.0,), (Kernel("a", "K", (0.5,), (0.1, 0.2)),)), "'a' has 2 times for 1 calls"),
        (Profile((1.0,), (Kernel("a", "K", (-0.5,)),)), "negative"),
        (Profile((float("nan"),), ()), "not finite"),
    ],
)
def test_a_profile_that_contradicts_itself(broken: Profile, message: str) -> None:
    with pytest.raises(PerfsuiteError, match=message):
        breakdown(broken, (), ())


@dataclass
class Fused:
    """conv -> bn -> relu -> conv2, both readers of one input: (name, MACs, parameters, sizes)."""

    conv = node(
        "stem.conv/Conv", 100, inputs=("x", "w"), outputs=("c",), parameters=7, bytes=170,
        sizes=(40, 30, 100),
    )  # fmt: skip
    bn = node(
        "stem.bn/BN", 0, inputs=("c", "g"), outputs=("n",), parameters=3, bytes=212,
        sizes=(100, 12, 100),
    )  # fmt: skip
    relu = node("stem.relu/Relu", 0, inputs=("n",), outputs=("r",), bytes=200, sizes=(100, 100))
    head = node(
        "head/Conv", 50, inputs=("r", "v"), outputs=("y",), parameters=5, bytes=130,
        sizes=(100, 20, 10),
    )  # fmt: skip

    @classmethod
    def nodes(cls) -> tuple[Node, ...]:
        return (cls.conv, cls.bn, cls.relu, cls.head)


def test_a_fused_kernel_does_the_work_of_its_nodes_and_keeps_what_is_between_them() -> None:
    names = [one.name for one in Fused.nodes()]
    found = rows(breakdown(profile(kernel("f", 1, *names[:3]), kernel("h", 2, names[3])),
                           Fused.nodes(), ()))  # fmt: skip
    stem, head = found["stem"], found["head"]
    assert (stem.macs, stem.parameters, stem.bytes) == (100, 10, 40 + 30 + 12 + 100)
    assert (head.macs, head.parameters, head.bytes) == (50, 5, 130)


def test_nodes_that_no_kernel_names_were_merged_into_what_makes_their_input() -> None:
    kernels = profile(kernel("f", 1, "stem.conv/Conv"), kernel("h", 2, "head/Conv"))
    stem = rows(breakdown(kernels, Fused.nodes(), ()))["stem"]
    assert (stem.macs, stem.parameters, stem.bytes) == (100, 10, 40 + 30 + 12 + 100)


def test_a_value_that_is_read_outside_too_moves() -> None:
    late = node("late/Add", 0, inputs=("c", "y"), outputs=("z",), bytes=1, sizes=(100, 10, 9))
    nodes = (*Fused.nodes(), late)
    kernels = profile(
        kernel("f", 1, "stem.conv/Conv", "stem.bn/BN", "stem.relu/Relu"),
        kernel("h", 2, "head/Conv"),
        kernel("a", 2, "late/Add"),
    )
    assert rows(breakdown(kernels, nodes, ()))["stem"].bytes == 40 + 30 + 12 + 100 + 100


def test_rounding_is_done_where_it_is_read_and_small_values_move() -> None:
    """Two convolutions with int8 between them: no kernel names a Q or DQ node."""
    nodes = (
        node("a/Conv", 9, inputs=("x", "w"), outputs=("c",), bytes=1, sizes=(8, 4, 40)),
        node("a/Q", 0, inputs=("c",), outputs=("q",), bytes=50, sizes=(40, 10)),
        Node("a/DQ", "DequantizeLinear", "a", ("q",), ("d",), 0, 0, 50, (10, 40)),
        node("b/Conv", 9, inputs=("d", "v"), outputs=("y",), bytes=1, sizes=(40, 4, 6)),
        node("c/Conv", 9, inputs=("d", "u"), outputs=("z",), bytes=1, sizes=(40, 4, 6)),
    )
    kernels = (kernel("a", 1, "a/Conv"), kernel("b", 1, "b/Conv"), kernel("c", 1, "c/Conv"))
    found = rows(breakdown(profile(*kernels), nodes, ()))
    assert found["a"].bytes == 8 + 4 + 10
    assert found["b"].bytes == found["c"].bytes == 10 + 4 + 6


def test_a_node_that_became_two_kernels_counts_for_the_longer() -> None:
    nodes = (node("fc/LSTM", 100, parameters=4, bytes=10, sizes=()),)
    kernels = profile(kernel("prepare", 1, "fc/LSTM"), kernel("run", 5, "fc/LSTM"))
    prepare, run = rows(breakdown(kernels, nodes, ()))["fc"].children
    assert (prepare.macs, prepare.parameters, prepare.bytes) == (0, 0, 0)
    assert (run.macs, run.parameters, run.bytes) == (100, 4, 10)


def test_what_the_engine_knows_itself_comes_first() -> None:
    nodes = (node("fc/Gemm", 100, bytes=10),)
    kernels = profile(kernel("k", 1, "fc/Gemm", macs=7, bytes=8))
    fc = rows(breakdown(kernels, nodes, ()))["fc"]
    assert (fc.macs, fc.bytes) == (7, 8)


def test_what_could_not_be_counted_in_a_part_is_not_known_of_the_whole() -> None:
    nodes = (node("fc.a/Gemm", None, parameters=2, bytes=10), node("fc.b/Relu", 0, bytes=None))
    kernels = profile(kernel("a", 1, "fc.a/Gemm"), kernel("b", 1, "fc.b/Relu"))
    fc = rows(breakdown(kernels, nodes, (Stage("fc", ("fc",)),)))["fc"]
    assert (fc.macs, fc.parameters, fc.bytes) == (None, 2, None)
    assert [(one.macs, one.bytes) for one in fc.children] == [(None, 10), (0, None)]


def test_an_engine_of_modules_gets_parameters_by_their_paths() -> None:
    nodes = (
        Node("stem.conv/Conv2d", "Conv2d", "stem.conv", (), (), None, 20),
        Node("stem.bn/BatchNorm2d", "BatchNorm2d", "stem.bn", (), (), None, 4),
        Node("fc/Linear", "Linear", "fc", (), (), None, 9),
    )
    kernels = (
        kernel("conv", 1, "stem.conv/conv2d", macs=10, bytes=3),
        kernel("relu", 1, "stem.relu/relu", macs=0, bytes=3),
        kernel("flatten", 1, "flatten", macs=0, bytes=0),
    )
    found = rows(breakdown(profile(*kernels), nodes, ()))
    stem = found["stem"]
    assert (stem.macs, stem.parameters, stem.bytes) == (10, 24, 6)
    assert [child.parameters for child in stem.children] == [20, 0]
    assert found["flatten"].time_s == BIT


def test_without_nodes_no_parameters_are_known() -> None:
    found = rows(breakdown(profile(kernel("a", 1, "stem/conv", macs=1, bytes=2)), (), ()))
    assert (found["stem"].macs, found["stem"].parameters, found["stem"].bytes) == (1, None, 2)


def test_a_stage_whose_modules_are_folded_away_may_stay_if_one_is_left() -> None:
    stages = (Stage("stem", ("conv", "bn")), Stage("late", ("fc",)))
    nodes = (node("conv/Conv", 5), node("fc/Gemm", 5))
    found = breakdown(profile(kernel("a", 1, "conv/Conv")), nodes, stages)
    assert times(found) == {"stem": 1, "late": 0, OVERHEAD: 99, UNATTRIBUTED: 0}


def test_a_stage_of_which_the_engine_got_nothing_has_no_time() -> None:
    stages = (Stage("norm", ("bn",)), Stage("body", ("layer1",)))
    found = breakdown(profile(kernel("a", 1, "layer1.0/Conv")), (), stages)
    assert times(found) == {"body": 1, "norm": 0, OVERHEAD: 99, UNATTRIBUTED: 0}


def test_an_engine_that_tells_no_origins() -> None:
    found = times(breakdown(profile(kernel("a", 1)), (), (BACKBONE,)))
    assert found == {"backbone": 0, OVERHEAD: 99, UNATTRIBUTED: 1}


PATHS = ("", "backbone", "backbone.layer1", "rpn.filter_proposals")


def test_good_stages_pass() -> None:
    stages = (Stage("a", ("backbone", "rpn")), Stage("b", ("rpn.filter_proposals",)))
    check_stages(stages, PATHS)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((Stage("a", ("backbon",)),), r"'a'.*'backbon'; did you mean 'backbone'\?"),
        ((Stage("a", ("zzz",)),), r"'zzz'; known: backbone, rpn"),
        ((Stage("a", ("backbone.layer",)),), r"did you mean 'backbone.layer1'"),
        ((Stage("a", ("backbone", "")),), "'a': '' is no path of a module"),
        ((Stage("a", ("backbone",)), Stage("b", ("backbone",))), "'a' and 'b' both.*'backbone'"),
        ((Stage("a", ("rpn", "rpn")),), "both have the prefix 'rpn'"),
        ((Stage("a", ("backbone",)), Stage("a", ("rpn",))), "two stages are called 'a'"),
        ((Stage("a", ()),), "names no modules"),
        ((Stage(UNATTRIBUTED, ("rpn",)),), "row of every breakdown"),
    ],
)
def test_bad_stages(stages: tuple[Stage, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_stages(stages, PATHS)

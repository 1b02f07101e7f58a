"""Breakdowns of profiles by hand: whose kernels are whose, and how long they took."""

from __future__ import annotations

import pytest
from small_profiles import BIT, kernel, node, profile, rows, times, tree

from perfsuite.domain.model import Stage
from perfsuite.domain.profile import (
    OVERHEAD,
    UNATTRIBUTED,
    Kernel,
    Node,
    Profile,
)
from perfsuite.errors import ConfigError, PerfsuiteError, Unsupported
from perfsuite.measure.stages import breakdown, check_stages

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
    assert found.crossing == ("layer10/K (head, backbone)",)


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
        (
            (Stage("a", ("backbon",)),),
            "stage 'a': the model has no module or method 'backbon'; did you mean 'backbone'?",
        ),
        (
            (Stage("a", ("backbone", "zzz")),),
            "stage 'a': the model has no module or method 'zzz'; known: backbone, rpn",
        ),
        (
            (Stage("b", ("rpn",)), Stage("a", ("backbone.layer",))),
            "stage 'a': the model has no module or method 'backbone.layer'; "
            "did you mean 'backbone.layer1'?",
        ),
        ((Stage("a", ("backbone", "")),), "stage 'a': '' is no path of a module or method"),
        (
            (Stage("a", ("backbone",)), Stage("b", ("backbone",))),
            "stages 'a' and 'b' both have the prefix 'backbone': it can belong to one",
        ),
        (
            (Stage("a", ("rpn", "rpn")),),
            "stages 'a' and 'a' both have the prefix 'rpn': it can belong to one",
        ),
        (
            (Stage("a", ("backbone",)), Stage("a", ("rpn",))),
            "two stages are called 'a': give one another name",
        ),
        ((Stage("a", ()),), "stage 'a' names no modules: give it at least one prefix"),
        (
            (Stage(UNATTRIBUTED, ("rpn",)),),
            f"a stage is called '{UNATTRIBUTED}', as is a row of every breakdown",
        ),
        (
            (Stage(OVERHEAD, ("rpn",)),),
            f"a stage is called '{OVERHEAD}', as is a row of every breakdown",
        ),
    ],
)
def test_bad_stages(stages: tuple[Stage, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_stages(stages, PATHS)
    assert str(caught.value) == message


def owner(*nodes: Node) -> str:
    """Return the stage of one kernel that runs all these nodes."""
    kernels = profile(kernel("fused", 3, *(one.name for one in nodes)))
    (name,) = (name for name, time in times(breakdown(kernels, nodes, (BACKBONE, HEAD))).items()
               if time == 3)  # fmt: skip
    return name


def test_of_equal_operators_one_that_has_a_stage_owns_the_kernel() -> None:
    other, head = node("other/Relu", 0, bytes=0), node("layer10/Add", 0)
    assert owner(other, head) == owner(head, other) == "head"


def test_one_product_or_byte_is_more_than_none() -> None:
    first = node("stem/Relu", 0, bytes=0)
    for more in (node("layer10/Conv", 1), node("layer10/Conv", 0, bytes=1)):
        assert owner(first, more) == owner(more, first) == "head"
    unknown = node("layer10/Gemm", None, bytes=None)
    assert owner(node("stem/Conv", 1), unknown) == "backbone"  # but less than any number


def test_a_module_of_no_graph_is_not_rounding_and_costs_nothing() -> None:
    """Eager PyTorch names modules that are no nodes; they come behind what is counted."""
    rounding = node("stem/DequantizeLinear", 0, bytes=99)
    kernels = profile(kernel("fused", 3, "stem/DequantizeLinear", "layer10/relu"))
    assert times(breakdown(kernels, (rounding,), (BACKBONE, HEAD)))["head"] == 3
    for counted in (node("stem/Conv", 1), node("stem/Conv", None), node("stem/Relu", 0, bytes=1)):
        for names in (("layer10/relu", counted.name), (counted.name, "layer10/relu")):
            kernels = profile(kernel("fused", 3, *names))
            assert times(breakdown(kernels, (counted,), (BACKBONE, HEAD)))["backbone"] == 3
    kernels = profile(kernel("fused", 3, "other/relu", "layer10/relu"))
    assert times(breakdown(kernels, (), (BACKBONE, HEAD)))["head"] == 3


def test_a_node_stands_where_the_graph_says_and_not_where_its_name_says() -> None:
    nodes = (Node("layer10/Conv", "Conv", "stem.conv", ("x",), ("y",), 5),)
    found = breakdown(profile(kernel("k", 3, "layer10/Conv")), nodes, (BACKBONE, HEAD))
    assert times(found)["backbone"] == 3


def test_operators_outside_of_all_modules_stand_at_the_top_of_their_stage() -> None:
    nodes = (
        Node("n0", "Conv", "", ("x",), ("c",), 10),
        Node("n1", "Conv", "", ("c",), ("r",), 10),
        Node("n2", "Relu", "net.act", ("r",), ("y",), 10),
    )
    kernels = (kernel(f"k{index}", 1, f"n{index}") for index in range(3))
    found = breakdown(profile(*kernels), nodes, ())
    assert {name: tree(row) for name, row in rows(found).items() if row.level == "stage"} == {
        "Conv": {"n0 (K)": 1, "n1 (K)": 1},
        "net.act": {"n2 (K)": 1},
    }


def test_levels_tell_stages_modules_and_operators_apart() -> None:
    kernels = (kernel("a", 1, "net.x/Conv"), kernel("b", 1, "net.y/Conv"), kernel("c", 1))
    found = rows(breakdown(profile(*kernels), (), (Stage("all", ("net",)),)))
    (net,) = found["all"].children if len(found["all"].children) == 1 else (found["all"],)
    assert [child.level for child in net.children] == ["module", "module"]
    assert {one.level for child in net.children for one in child.children} == {"operator"}
    assert [child.level for child in found[UNATTRIBUTED].children] == ["operator"]
    assert (found["all"].level, found[UNATTRIBUTED].level) == ("stage", "rest")


def test_parameters_of_what_no_kernel_runs_stand_where_it_belongs() -> None:
    folded = Node("n1", "Gemm", "", ("c",), ("r",), 5, parameters=7)
    nodes = (Node("n0", "Gemm", "", ("x",), ("c",), 5, parameters=3), folded)
    found = rows(breakdown(profile(kernel("k", 1, "n0")), nodes, ()))
    assert found["Gemm"].parameters == 10
    assert found[UNATTRIBUTED].parameters == 0
    outside = (node("stem/Conv", 5, parameters=3), node("other/Conv", 5, parameters=7))
    found = rows(breakdown(profile(kernel("k", 1, "stem/Conv")), outside, (BACKBONE,)))
    assert (found["backbone"].parameters, found[UNATTRIBUTED].parameters) == (3, 7)


def test_a_module_is_known_by_what_is_inside_of_it() -> None:
    check_stages(
        (Stage("a", ("backbone",)), Stage("b", ("rpn.head",))), ("backbone.x", "rpn.head.y")
    )


@pytest.mark.parametrize(
    ("name", "kind", "origins", "told"),
    [
        ("c_nchwc", "FusedConv", ("net.conv/Conv_1", "net.act/Relu"), "net.conv/Conv_1"),
        ("net.fc/MatMul/MatMulAddFusion", "Gemm", ("net.fc/MatMul",), "net.fc/Gemm"),
        ("net.a/Mul/QuickGeluFusion/", "QuickGelu", ("net.act/Relu",), "net.act/QuickGelu"),
        ("net.act/Relu", "FusedConv", ("net.conv/Conv_1", "net.act/Relu"), "net.act/Relu"),
        ("fc/MatMulAddFusion", "Gemm", ("fc",), "fc (Gemm)"),
        ("ReorderInput_token_6", "ReorderInput", (), "ReorderInput_token_6"),
        ("odd", "Conv", ("net.gone/Conv",), "odd"),
    ],
)
def test_names_that_an_engine_makes_up_are_those_of_what_was_fused(
    name: str, kind: str, origins: tuple[str, ...], told: str
) -> None:
    nodes = (
        Node("net.conv/Conv_1", "Conv", "net.conv", ("x",), ("c",), 10),
        Node("net.act/Relu", "Relu", "net.act", ("c",), ("r",), 0),
        Node("net.fc/MatMul", "MatMul", "net.fc", ("r",), ("m",), 10),
        Node("fc", "MatMul", "", ("m",), ("y",), 10),
    )
    ran = Kernel(name, kind, (1.0,), (), origins)
    found = breakdown(Profile((2.0,), (ran,)), nodes, ())
    assert [child.name for row in found.rows for child in row.children] == [told]

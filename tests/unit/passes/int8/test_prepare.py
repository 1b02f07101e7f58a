"""What is done to a graph before it is rounded: weights are found, and answers stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import odd_graphs as odd
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, Unsupported
from perfsuite.passes.int8 import prepare
from perfsuite.passes.int8.placement import place
from perfsuite.passes.int8.prepare import prepared
from perfsuite.passes.int8.unchanged import answers_of, difference, steady

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 8, 8)).astype(np.float32)
SAMPLES: list[Inputs] = [{"x": X}]
W = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)


def value(name: str, shape: list[Any] | None = None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    functions: tuple[onnx.FunctionProto, ...] = (),
    outputs: tuple[str, ...] = ("y",),
    shape: tuple[int | str, ...] = ("batch", 3, 8, 8),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [value("x", list(shape))],
        [value(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    versions = [helper.make_opsetid("", opset), *(helper.make_opsetid("own", 1) for _ in functions)]
    return helper.make_model(graph, opset_imports=versions, functions=functions, ir_version=8)


def weighted(graph: onnx.ModelProto) -> tuple[str, ...]:
    return place(prepared(graph, SAMPLES).graph, sum_in_accumulator=True).weighted


def kinds(graph: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in graph.graph.node]


def constant(name: str, array: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], name, value=numpy_helper.from_array(array))


def test_weights_in_nodes_behind_nodes_and_in_functions_are_found() -> None:
    half = np.ascontiguousarray(W.transpose(1, 0, 2, 3)).astype(np.float16).reshape(-1)
    behind = [
        constant("half", half),
        helper.make_node("Cast", ["half"], ["single"], "cast", to=TensorProto.FLOAT),
        constant("sides", np.array([3, 4, 3, 3])),
        helper.make_node("Reshape", ["single", "sides"], ["turned"], "reshape"),
        helper.make_node("Transpose", ["turned"], ["upright"], "turn", perm=[1, 0, 2, 3]),
        helper.make_node("Identity", ["upright"], ["w"], "same"),
        helper.make_node("Conv", ["x", "w"], ["y"], "conv"),
    ]
    for opset in (9, 17):
        assert weighted(model(behind, opset=opset)) == ("y",)
    body = [constant("w", W), helper.make_node("Conv", ["a", "w"], ["b"], "conv")]
    versions = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "Layer", ["a"], ["b"], body, versions)
    call = helper.make_node("Layer", ["x"], ["y"], "call", domain="own")
    assert weighted(model([call], functions=(function,))) == ("y",)


def branch(name: str, nodes: list[onnx.NodeProto], *results: str) -> onnx.GraphProto:
    return helper.make_graph(nodes, name, [], [value(one) for one in results])


def test_branches_that_give_outer_values_stay_valid() -> None:
    same = helper.make_node("Identity", ["l"], ["t"], "same")
    again = helper.make_node("Identity", ["l"], ["u"], "again")
    opposite = [helper.make_node("Neg", ["l"], [name], name) for name in ("e", "f")]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["l"], "conv"),
        helper.make_node("Size", ["x"], ["n"], "size"),
        helper.make_node("Greater", ["n", "none"], ["c"], "any"),
        helper.make_node(
            "If",
            ["c"],
            ["y", "z"],
            "if",
            then_branch=branch("then", [same, again], "t", "u"),
            else_branch=branch("else", opposite, "e", "f"),
        ),
    ]
    given = model(nodes, {"w": W, "none": np.array(0)}, outputs=("y", "z"))
    made = prepared(given, SAMPLES)
    assert place(made.graph, sum_in_accumulator=True).weighted == ("l",)
    assert difference(given, made, SAMPLES, ["y", "z"]) == ""
    for chosen in (True, False):  # a branch that is known is taken out
        nodes[2] = constant("c", np.array(chosen))
        given = model(nodes, {"w": W}, outputs=("y", "z"))
        made = prepared(given, SAMPLES)
        assert "If" not in kinds(made)
        assert [one.name for one in made.graph.output] == ["y", "z"]
        assert difference(given, made, SAMPLES, ["y", "z"]) == ""


def test_results_that_fold_into_outer_values_get_nodes_of_their_own() -> None:
    given = branch("then", [helper.make_node("Neg", ["l"], ["t"], "neg")], "l", "t", "t")
    prepare._own_results(given, {"l", "t", "neg", "l_result"})
    assert [one.name for one in given.output] == ["l_result_1", "t", "t_result"]
    assert [(list(one.input), list(one.output)) for one in given.node[1:]] == [
        (["l"], ["l_result_1"]),
        (["t"], ["t_result"]),
    ]


def test_a_preparation_that_changes_answers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    given = model([helper.make_node("Conv", ["x", "w"], ["y"], "conv")], {"w": W}, opset=11)

    def wrong(graph: onnx.ModelProto, *_: object) -> onnx.ModelProto:
        copy = onnx.ModelProto.FromString(graph.SerializeToString())
        copy.graph.initializer[0].CopyFrom(numpy_helper.from_array(W * 1.01, "w"))
        return copy

    monkeypatch.setattr(prepare, "converted", wrong)
    with pytest.raises(BuildError, match=r"before anything is rounded: 'y': max\|a-b\|/max\|b\| ="):
        prepared(given, SAMPLES)


def test_what_only_makes_layers_quantizable_is_left_out_where_it_changes_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = {"m": RNG.normal(size=(8, 4)).astype(np.float32), "b": np.ones(4, np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "m"], ["p"], "mul"),
        helper.make_node("Add", ["p", "b"], ["y"], "add"),
    ]
    given = model(nodes, weights)

    def wrong(graph: onnx.ModelProto, *_: object) -> onnx.ModelProto:
        copy = onnx.ModelProto.FromString(graph.SerializeToString())
        copy.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights["m"] * 2, "m"))
        return copy

    monkeypatch.setattr(prepare, "in_known_forms", wrong)
    made = prepared(given, SAMPLES)
    assert numpy_helper.to_array(made.graph.initializer[0]).tolist() == weights["m"].tolist()


def test_what_may_jump_is_compared_before_it_jumps() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("ArgMax", ["c"], ["i"], "best", axis=1),
        helper.make_node("Cast", ["i"], ["y"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Relu", ["c"], ["z"], "relu"),
    ]
    given = model(nodes, {"w": W}, outputs=("y", "z"))
    assert steady(given.graph, given.graph) == ["c", "z"]


def test_rounding_errors_alone_are_no_difference_and_small_answers_are() -> None:
    def written(*steps: tuple[str, str]) -> onnx.ModelProto:
        names = ["x", *(f"v{place}" for place in range(1, len(steps))), "y"]
        nodes = [
            helper.make_node(kind, [names[place], other], [names[place + 1]])
            for place, (kind, other) in enumerate(steps)
        ]
        return model(nodes, {"one": np.float32(1), "tiny": np.float32(1e-7)})

    cancelled = written(("Add", "one"), ("Sub", "one"), ("Sub", "x"))
    nothing, tiny = written(("Sub", "x")), written(("Mul", "tiny"))
    assert difference(cancelled, nothing, SAMPLES, ["y"]) == ""
    assert difference(cancelled, written(("Mul", "one")), SAMPLES, ["y"]).startswith("'y': max")
    assert difference(tiny, nothing, SAMPLES, ["y"]) == (
        "'y': max|a-b|/max|b| = 1, the tolerance is 0.0001"
    )


def test_whole_numbers_at_the_edge_of_a_step_are_no_difference() -> None:
    def pixels(scale: float) -> onnx.ModelProto:
        nodes = [
            helper.make_node("Mul", ["x", "scale"], ["m"]),
            helper.make_node("Cast", ["m"], ["pixels"], to=TensorProto.INT32),
            helper.make_node("Cast", ["pixels"], ["y"], to=TensorProto.FLOAT),
        ]
        return model(nodes, {"scale": np.float32(scale)})

    own, next_, other = pixels(255), pixels(255.04), pixels(254)
    before, after = (answers_of(one, SAMPLES, ["pixels"])[0][0] for one in (own, next_))
    assert (before != after).any()
    assert difference(own, next_, SAMPLES, ["pixels"]) == ""
    assert difference(own, other, SAMPLES, ["pixels"]).startswith("'pixels': max|a-b|/max|b| = 0")


def test_infinities_by_design_are_equal() -> None:
    nodes = [helper.make_node("Add", ["x", "mask"], ["y"], "add")]
    one, other = (
        model(nodes, {"mask": np.array([mask, 0, 0, 0, 0, 0, 0, 0], np.float32)})
        for mask in (-np.inf, 0)
    )
    assert difference(one, one, SAMPLES, ["y"]) == ""
    assert difference(one, other, SAMPLES, ["y"]) == "'y': other values are infinite or NaN"
    assert difference(other, one, SAMPLES, ["y"]) == "'y': other values are infinite or NaN"


def test_a_graph_that_does_not_run_is_said() -> None:
    with pytest.raises(BuildError, match="ONNX Runtime cannot run this graph"):
        prepared(model([helper.make_node("Conv", ["x", "w"], ["y"])], {"w": W}), [{"z": X}])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("EfficientNMS_TRT", ["c"], ["y"], "nms", domain="TRT"),
    ]
    plugged = model(nodes, {"w": W})
    plugged.opset_import.append(helper.make_opsetid("TRT", 1))
    with pytest.raises(
        Unsupported, match=r"lacks an operator .*EfficientNMS_TRT.* without its post"
    ):
        prepared(plugged, SAMPLES)


def test_a_graph_that_answers_by_chance_is_not_held_against_itself() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
        helper.make_node("RandomNormalLike", ["c"], ["noise"], "noise"),
        helper.make_node("Add", ["c", "noise"], ["y"], "add"),
    ]
    assert "RandomNormalLike" in kinds(prepared(model(nodes, {"w": W}), SAMPLES))


def test_constants_of_every_kind_are_lifted() -> None:
    nodes = [
        helper.make_node("Constant", [], ["axis"], "axis", value_ints=[1]),
        helper.make_node("Constant", [], ["half"], "half", value_float=0.5),
        helper.make_node("Constant", [], ["words"], "words", value_strings=[b"a", b"b"]),
        helper.make_node("Unsqueeze", ["x", "axis"], ["u"], "u"),
        helper.make_node("Mul", ["u", "half"], ["y"], "mul"),
        helper.make_node("Identity", ["words"], ["z"], "z"),
    ]
    given = model(nodes, outputs=("y", "z"))
    given.graph.output[1].type.tensor_type.elem_type = TensorProto.STRING
    assert kinds(prepared(given, SAMPLES)) == ["Constant", "Unsqueeze", "Mul"]


def test_a_graph_without_shuffles_that_answers_otherwise_is_told_and_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = '<ir_version: 9, opset_import: ["" : 18]> g (float[2,3] x) => (float[2,3] y)'
    made, wrong = (onnx.parser.parse_model(f"{head} {{ y = {one}(x) }}") for one in ("Relu", "Neg"))
    monkeypatch.setattr("perfsuite.passes.int8.prepare.without_shuffles", lambda model: wrong)
    with pytest.warns(UserWarning, match="channel shuffles stay"):
        found = prepared(made, [{"x": np.ones((2, 3), np.float32)}])
    assert [node.op_type for node in found.graph.node] == ["Relu"]


def test_classes_as_maps_stay_what_they_are() -> None:
    given = odd.maps_output()
    made = prepared(given, [{"x": X[:, :, :6, :6]}])
    assert made.graph.output[0].type == given.graph.output[0].type
    assert place(made.graph, sum_in_accumulator=True).weighted == ("c", "l")

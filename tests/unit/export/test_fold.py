"""Batch normalization folds away, and the answers stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perfsuite.export.fold import fold_batch_norms, simplified

RNG = np.random.default_rng(7)
STATISTICS = ("gamma", "beta", "mean", "var")


def array(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def model(
    nodes: list[Any], shape: list[Any], constants: dict[str, np.ndarray], opset: int = 18
) -> Any:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    free = ["batch", *[None] * len(shape)]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, free)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    version = [helper.make_opsetid("", opset)]
    made = helper.make_model(graph, opset_imports=version, ir_version=10)
    onnx.checker.check_model(made)
    return made


def norm(source: str, target: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(
        "BatchNormalization", [source, *STATISTICS], [target], name=f"{target}/bn", **attributes
    )


def statistics(channels: int) -> dict[str, np.ndarray]:
    values = {name: array(channels) for name in STATISTICS}
    values["var"] = np.abs(values["var"]) + np.float32(0.3)
    return values


def run(graph: Any, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    output: np.ndarray = session.run(None, {"x": x})[0]
    return output


def check(graph: Any, *shape: int, left: int = 0) -> Any:
    """Fold, and hold the answers for two batches against the unfolded graph's."""
    import onnx

    before = graph.SerializeToString()
    folded = fold_batch_norms(graph)
    assert graph.SerializeToString() == before, "the given graph was changed"
    onnx.checker.check_model(folded, full_check=True)
    assert {node.domain for node in folded.graph.node} == {""}
    assert [node.op_type for node in folded.graph.node].count("BatchNormalization") == left
    for batch in (1, 3):
        x = array(batch, *shape)
        np.testing.assert_allclose(run(folded, x), run(graph, x), rtol=1e-4, atol=1e-5)
    return folded


@pytest.mark.parametrize("bias", [False, True])
def test_conv_norm_relu(bias: bool) -> None:
    from onnx import helper

    inputs = ["x", "conv.weight"] + (["conv.bias"] if bias else [])
    nodes = [
        helper.make_node("Conv", inputs, ["c"], name="net.conv/Conv", group=2),
        norm("c", "n", epsilon=1e-3),
        helper.make_node("Relu", ["n"], ["y"], name="net.relu/Relu"),
    ]
    constants = {"conv.weight": array(6, 2, 3, 3), **statistics(6)}
    if bias:
        constants["conv.bias"] = array(6)
    folded = check(model(nodes, [4, 7, 7], constants), 4, 7, 7)
    assert [node.name for node in folded.graph.node] == ["net.conv/Conv", "net.relu/Relu"]
    assert {t.name for t in folded.graph.initializer} == {"conv.weight", "conv.bias"}
    assert folded.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_the_numbers_by_hand() -> None:
    """W = 2, gamma = 3, beta = 5, mean = 7, var + eps = 4: weight 2 * 3 / 2, bias 5 - 7 * 3 / 2."""
    from onnx import helper, numpy_helper

    constants = {"w": np.full((1, 1, 1, 1), 2, np.float32)}
    for name, value in zip(STATISTICS, (3.0, 5.0, 7.0, 3.0), strict=True):
        constants[name] = np.array([value], np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="c"), norm("c", "y", epsilon=1.0)]
    folded = fold_batch_norms(model(nodes, [1, 2, 2], constants))
    values = {t.name: numpy_helper.to_array(t).ravel() for t in folded.graph.initializer}
    assert values["w"] == [3.0]
    assert values["c_bias"] == [-5.5]
    assert [output.name for output in folded.graph.output] == ["y"]


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [None, (5,), (1, 5), (1,)])
def test_gemm(transposed: int, bias: tuple[int, ...] | None) -> None:
    from onnx import helper

    inputs = ["x", "fc.weight"] + (["fc.bias"] if bias else [])
    gemm = helper.make_node("Gemm", inputs, ["g"], name="g", transB=transposed, alpha=0.5, beta=2.0)
    constants = {"fc.weight": array(5, 4) if transposed else array(4, 5), **statistics(5)}
    if bias:
        constants["fc.bias"] = array(*bias)
    check(model([gemm, norm("g", "y")], [4], constants), 4)


def test_transposed_convolution() -> None:
    from onnx import helper

    node = helper.make_node("ConvTranspose", ["x", "w"], ["c"], name="up", strides=[2, 2])
    constants = {"w": array(3, 5, 2, 2), **statistics(5)}
    check(model([node, norm("c", "y")], [3, 4, 4], constants), 3, 4, 4)


def test_statistics_behind_identities_and_constants_are_folded() -> None:
    from onnx import helper, numpy_helper

    constants = {"w": array(6, 4, 1, 1), **statistics(6)}
    variance = numpy_helper.from_array(constants.pop("var"))
    constants["mean_0"] = constants.pop("mean")
    nodes = [
        helper.make_node("Identity", ["mean_0"], ["mean"]),
        helper.make_node("Constant", [], ["var"], value=variance),
        helper.make_node("Conv", ["x", "w"], ["c"], name="c"),
        norm("c", "y"),
    ]
    folded = check(model(nodes, [4, 3, 3], constants), 4, 3, 3)
    assert [node.op_type for node in folded.graph.node] == ["Conv"]


def test_a_layer_that_others_read_keeps_its_norm() -> None:
    from onnx import helper

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="c"),
        norm("c", "n"),
        helper.make_node("Add", ["c", "n"], ["y"], name="add"),
    ]
    check(model(nodes, [4, 3, 3], {"w": array(6, 4, 1, 1), **statistics(6)}), 4, 3, 3, left=1)


def test_a_norm_before_its_convolution_stays() -> None:
    from onnx import helper

    nodes = [norm("x", "n"), helper.make_node("Conv", ["n", "w"], ["y"], name="c", pads=[1] * 4)]
    check(model(nodes, [4, 3, 3], {"w": array(6, 4, 3, 3), **statistics(4)}), 4, 3, 3, left=1)


def test_weights_that_two_layers_share_are_not_spoilt() -> None:
    from onnx import helper

    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], name="one"),
        norm("c", "n"),
        helper.make_node("Conv", ["n", "w", "b"], ["y"], name="two"),
    ]
    constants = {"w": array(4, 4, 1, 1), "b": array(4), **statistics(4)}
    folded = check(model(nodes, [4, 3, 3], constants), 4, 3, 3)
    assert {t.name for t in folded.graph.initializer} == {"w", "b", "w_1", "b_1"}


def test_two_layers_of_one_bias_get_their_own() -> None:
    from onnx import helper

    nodes = [
        helper.make_node("Conv", ["x", "v", "b"], ["c"], name="one"),
        norm("c", "n"),
        helper.make_node("Conv", ["n", "w", "b"], ["d"], name="two"),
        norm("d", "y"),
    ]
    constants = {"v": array(4, 4, 1, 1), "w": array(4, 4, 1, 1), "b": array(4), **statistics(4)}
    folded = check(model(nodes, [4, 3, 3], constants), 4, 3, 3)
    assert [node.name for node in folded.graph.node] == ["one", "two"]


def test_a_bias_may_be_left_out_by_an_empty_name() -> None:
    from onnx import helper

    nodes = [helper.make_node("Conv", ["x", "w", ""], ["c"], name="c"), norm("c", "y")]
    check(model(nodes, [4, 3, 3], {"w": array(6, 4, 1, 1), **statistics(6)}), 4, 3, 3)


def test_a_norm_in_training_mode_has_no_fixed_statistics() -> None:
    from onnx import helper

    trained = norm("c", "y", training_mode=1)
    trained.output.extend(["mean_of_batch", "var_of_batch"])
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="c"), trained]
    check(model(nodes, [4, 3, 3], {"w": array(6, 4, 1, 1), **statistics(6)}), 4, 3, 3, left=1)


@pytest.mark.parametrize("opset", [13, 18])
def test_equal_parts_of_a_sequence_split_as_the_operator_set_has_it(opset: int) -> None:
    import onnx
    import onnxruntime as ort
    from onnx import helper

    nodes = [
        helper.make_node("SplitToSequence", ["x", "two"], ["parts"], "split", axis=1),
        helper.make_node("SequenceAt", ["parts", "one"], ["y"], "second"),
    ]
    made = model(nodes, [4], {"two": np.array(2), "one": np.array(1)})
    made.opset_import[0].version = opset
    simple = simplified(made)
    assert [node.op_type for node in simple.graph.node] == ["Split"]
    onnx.checker.check_model(simple)
    session = ort.InferenceSession(simple.SerializeToString(), providers=["CPUExecutionProvider"])
    x = array(1, 4)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], x[:, 2:])


@pytest.mark.parametrize(
    ("opset", "sizes", "said"),
    [(11, (), {"split": [3, 2]}), (13, (3, 2), {}), (18, (), {"num_outputs": 2}), (11, (), {})],
)
def test_weights_that_are_split_become_constants(
    opset: int, sizes: tuple[int, ...], said: dict[str, Any]
) -> None:
    """Of five rows in two parts the second has less; older operator sets have equal parts alone."""
    from onnx import helper

    rows = 5 if sizes or said else 4
    given = ["all", "sizes"] if sizes else ["all"]
    nodes = [
        helper.make_node("Transpose", ["w"], ["all"], "turn", perm=[1, 0]),
        helper.make_node("Split", given, ["one", "two"], "split", axis=-2, **said),
        helper.make_node("Transpose", ["two"], ["right"], "back", perm=[1, 0]),
        helper.make_node("MatMul", ["x", "right"], ["y"], "layer"),
    ]
    weights = array(4, rows)
    made = model(nodes, [4], {"w": weights, "sizes": np.array(sizes or [1])}, opset)
    simple = simplified(made)
    (layer,) = simple.graph.node
    assert (layer.op_type, layer.name) == ("MatMul", "layer")
    x = array(3, 4)
    start = 3 if rows == 5 else 2
    np.testing.assert_allclose(run(simple, x), x @ weights[:, start:], rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_shapes_of_a_graph_with_maps_are_inferred() -> None:
    import odd_graphs as odd

    from perfsuite.export.shapes import infer

    found = infer(odd.maps_output(), {"x": (2, 3, odd.SIDE, odd.SIDE)})
    assert found.shapes["s"] == (2, odd.CLASSES)


def test_what_is_not_folded_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    from onnx import helper

    nodes = [
        helper.make_node("SequenceEmpty", [], ["none"]),
        helper.make_node("SequenceInsert", ["none", "x"], ["all"]),
        helper.make_node("ConcatFromSequence", ["all"], ["y"], axis=0),
    ]
    simplified(model(nodes, [2], {}))
    assert caplog.records == []

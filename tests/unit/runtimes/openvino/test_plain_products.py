"""Products in 8 bits that follow each other are answered right, with and without biases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.runtimes.openvino.plain_products import APART, settings_for

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

SIDES = (32, 24, 20)
STEPS = (0.02, 0.03, 0.1)
node = helper.make_node


def chain(*biases: str) -> onnx.ModelProto:
    """Return linear layers whose weights and values are in 8 bits, and which have these biases."""
    rng = np.random.default_rng(0)
    held: dict[str, np.ndarray] = {"zero": np.array(128, np.uint8)}
    nodes: list[onnx.NodeProto] = []

    def rounded(value: str, place: int) -> str:
        held[f"step{place}"] = np.array(STEPS[place], np.float32)
        scale = [f"step{place}", "zero"]
        nodes.append(node("QuantizeLinear", [value, *scale], [f"q{place}"], f"q{place}"))
        nodes.append(node("DequantizeLinear", [f"q{place}", *scale], [f"d{place}"], f"d{place}"))
        return f"d{place}"

    value = rounded("x", 0)
    for place, bias in enumerate(biases):
        shape = SIDES[place : place + 2]
        held[f"w{place}"] = rng.integers(-63, 64, shape).astype(np.int8)
        held[f"s{place}"] = rng.uniform(0.006, 0.012, shape[1]).astype(np.float32)
        held[f"z{place}"] = np.zeros(shape[1], np.int8)
        weights = [f"{one}{place}" for one in "wsz"]
        nodes.append(node("DequantizeLinear", weights, [f"m{place}"], f"m{place}", axis=1))
        given = [value, f"m{place}"]
        if bias == "none":
            nodes.append(node("MatMul", given, [f"y{place}"], f"y{place}"))
        else:
            size = shape[1] if bias == "each" else ()
            held[f"b{place}"] = rng.normal(0.3, 0.1, size).astype(np.float32)
            nodes.append(node("Gemm", [*given, f"b{place}"], [f"y{place}"], f"y{place}"))
        value = rounded(f"y{place}", place + 1)
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", SIDES[0]])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in held.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


@pytest.mark.parametrize(
    "biases", [("none", "each"), ("each", "none"), ("none", "none"), ("one", "each")]
)
def test_layers_without_a_bias_of_their_own_answer_right(
    biases: tuple[str, ...], tmp_path: Path
) -> None:
    graph = chain(*biases)
    x = np.random.default_rng(1).normal(size=(3, SIDES[0])).astype(np.float32)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    np.testing.assert_allclose(found, wanted, atol=1.01 * STEPS[2])  # a step


@pytest.mark.parametrize(
    ("biases", "beside", "settings"),
    [
        (("none",), False, {}),
        (("none", "each"), True, APART),
        (("one", "each"), True, APART),
        (("each", "each"), True, {}),
        (("each", "each"), False, APART),  # nothing else shows that it computes in 8 bits
    ],
)
def test_the_setting_is_for_what_needs_it_alone(
    biases: tuple[str, ...], beside: bool, settings: dict[str, str], tmp_path: Path
) -> None:
    graph = chain(*biases)
    if beside:  # a layer of another kind
        graph.graph.node.append(node("MatMul", ["x", "wide"], ["more"], "more"))
        wide = np.ones((2, SIDES[0], 3), np.float32)
        graph.graph.initializer.append(numpy_helper.from_array(wide, "wide"))
        graph.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, None))
    onnx.save(graph, tmp_path / "model.onnx")
    model = openvino.Core().read_model(str(tmp_path / "model.onnx"))
    model.reshape([1, SIDES[0]])
    assert settings_for(model) == settings


def test_who_opens_an_artifact_without_perfsuite_finds_the_settings_in_it(tmp_path: Path) -> None:
    for biases, needed in ((("none", "each"), True), (("none",), False)):
        folder = tmp_path / biases[-1]
        folder.mkdir()
        answer_of(chain(*biases), np.zeros((1, SIDES[0]), np.float32), folder)
        model = openvino.Core().read_model(str(next(folder.rglob("model.xml"))))
        place = ["perfsuite", "SNIPPETS_MODE"]
        assert model.has_rt_info(place) == needed
        if needed:
            assert model.get_rt_info(place).astype(str) == APART["SNIPPETS_MODE"]

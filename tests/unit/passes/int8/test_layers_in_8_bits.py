"""Layers of odd forms run in 8 bits on the engines that can; others are told why they do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.errors import Unsupported
from perfsuite.passes.int8.forms import in_known_forms
from perfsuite.passes.int8.int8 import Int8
from perfsuite.passes.int8.unchanged import difference
from perfsuite.runtimes.table import RUNTIMES

RNG = np.random.default_rng(0)


def values(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    name = f"m.{outputs.split()[0]}/{operator}"
    return helper.make_node(operator, inputs.split(), outputs.split(), name, **attributes)


def model(
    nodes: list[onnx.NodeProto],
    shape: tuple[int, ...],
    outputs: str = "y",
    domain: str = "",
    **constants: np.ndarray,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    imports = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def samples(shape: tuple[int, ...], count: int = 4) -> list[Inputs]:
    rng = np.random.default_rng(1)
    return [{"x": rng.random(shape, np.float32)} for _ in range(count)]


def quantized(given: onnx.ModelProto, engine: str = "onnxruntime") -> onnx.ModelProto:
    shape = tuple(dim.dim_value for dim in given.graph.input[0].type.tensor_type.shape.dim)

    def calibration(wanted: int) -> Iterator[Inputs]:
        yield from samples(shape)

    def train() -> TrainingSet:
        raise AssertionError("INT8 does not train")

    graphs: QuantizedGraphs = RUNTIMES[engine]().quantized_graphs("cpu")
    return Int8(calibration_samples=4).apply(
        given,
        PassContext(
            inputs={},
            calibration=calibration,
            train=train,
            target=Target(engine, "cpu", quantized=graphs),
            checkpoint=Path("unused"),
            progress=lambda done, total: None,
            latency_s=lambda candidates, cold_bytes=0: (),
        ),
    )


def onnxruntime_kinds(made: onnx.ModelProto, folder: Path) -> Counter[str]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(one.op_type for one in onnx.load(folder / "optimized.onnx").graph.node)


def openvino_kinds(made: onnx.ModelProto) -> Counter[tuple[str, str]]:
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(made.SerializeToString()), "CPU", settings)
    infos = [one.get_rt_info() for one in compiled.get_runtime_model().get_ops()]
    return Counter(
        (info["layerType"].astype(str), info["runtimePrecision"].astype(str)) for info in infos
    )


def answers(made: onnx.ModelProto, inputs: Inputs) -> list[np.ndarray]:
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(None, inputs)
    return found


def cosines(one: onnx.ModelProto, other: onnx.ModelProto, shape: tuple[int, ...]) -> list[float]:
    (inputs,) = samples(shape, 1)
    pairs = zip(answers(one, inputs), answers(other, inputs), strict=True)
    return [float(np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]


# -- outputs ---------------------------------------------------------------------------------


PICTURE = (1, 4, 8, 8)


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([node("Conv", "x w1 b1", "y")], "y"),
        ([node("Conv", "x w1 b1", "c"), node("Relu", "c", "y")], "y"),
        ([node("Conv", "x w1 b1", "y"), node("Conv", "y w2", "z")], "y z"),
        (
            [
                node("Conv", "x w1 b1", "y"),
                node("Conv", "y w2", "z"),
                node("Conv", "y w2", "u"),
                node("Sigmoid", "y", "s"),
            ],
            "y z u s",
        ),
    ],
    ids=["alone", "with its activation", "read by another", "read by several"],
)
def test_a_convolution_that_gives_an_output_runs_in_8_bits(
    nodes: list[onnx.NodeProto], outputs: str, tmp_path: Path
) -> None:
    weights = {"w1": values(8, 4, 3, 3), "b1": values(8, 1)[:, 0], "w2": values(4, 8, 1, 1)}
    used = {name for one in nodes for name in one.input}
    constants = {name: array for name, array in weights.items() if name in used}
    given = model(nodes, PICTURE, outputs, **constants)
    made = quantized(given)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(made))
    assert [one.name for one in made.graph.output] == outputs.split()
    kinds = onnxruntime_kinds(made, tmp_path)
    convolutions = sum(one.op_type == "Conv" for one in nodes)
    assert (kinds["QLinearConv"], kinds["Conv"], kinds["FusedConv"]) == (convolutions, 0, 0)
    assert min(cosines(given, made, PICTURE)) > 0.999
    assert all(one.dtype == np.float32 for one in answers(made, samples(PICTURE)[0]))


def test_an_engine_that_gives_float_results_rounds_no_output() -> None:
    given = model([node("Conv", "x w1", "y")], PICTURE, w1=values(8, 4, 3, 3))
    made = quantized(given, "openvino")
    assert [one.op_type for one in made.graph.node][-1] == "Conv"
    assert openvino_kinds(made)["Convolution", "u8"] == 1


def test_biases_make_up_for_rounded_weights_before_an_output_too() -> None:
    given = model([node("Conv", "x w1", "y")], PICTURE, w1=values(8, 4, 3, 3))
    made = quantized(given)
    (conv,) = [one for one in made.graph.node if one.op_type == "Conv"]
    assert len(conv.input) == 3 and conv.input[2].endswith("bias_corrected")


# -- products with a constant first ------------------------------------------------------------


LEFT = (2, 40, 6)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_product_whose_first_operand_is_constant_runs_in_8_bits(
    engine: str, tmp_path: Path
) -> None:
    given = model([node("MatMul", "a x", "y")], LEFT, a=values(48, 40))
    made = quantized(given, engine)
    if engine == "onnxruntime":
        kinds = onnxruntime_kinds(made, tmp_path)
        assert (kinds["MatMulIntegerToFloat"], kinds["MatMul"]) == (1, 0)
    else:
        found = openvino_kinds(made)
        assert found["FullyConnected", "u8"] == 1 and not found["FullyConnected", "f32"]
    assert min(cosines(given, made, LEFT)) > 0.999


@pytest.mark.parametrize(
    ("weights", "shape", "turned"),
    [
        (values(48, 40), LEFT, True),
        (values(48, 40), (40, 6), True),
        (values(1, 48, 40), (2, 3, 40, 6), True),
        (values(2, 48, 40), LEFT, False),  # one matrix for each sample
        (values(3, 3), (3, 9), False),  # would cost more than it gains
        (values(1, 1, 1, 48, 40), LEFT, False),  # gives the result more axes
    ],
)
def test_a_constant_first_operand_is_turned_where_that_pays(
    weights: np.ndarray, shape: tuple[int, ...], turned: bool
) -> None:
    given = model([node("MatMul", "a x", "y")], shape, a=weights)
    made = in_known_forms(given)
    kinds = [one.op_type for one in made.graph.node]
    assert kinds == (["Transpose", "MatMul", "Transpose"] if turned else ["MatMul"])
    assert difference(given, made, samples(shape, 1), ["y"]) == ""
    assert {one.name.rpartition("/")[0] for one in made.graph.node} == {"m.y"}


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ("a x", {}),
        ("a x c", {"alpha": 0.5, "beta": 2.0}),
        ("a x c", {"transA": 1}),
        ("a x r", {"transB": 1}),
        ("a x c", {"transA": 1, "transB": 1, "alpha": -1.5}),
    ],
)
def test_a_gemm_whose_first_operand_is_constant_is_turned_too(
    inputs: str, said: dict[str, Any]
) -> None:
    constants = {
        "a": values(40, 48) if said.get("transA") else values(48, 40),
        "c": values(48, 1),
        "r": values(6, 1)[:, 0],
    }
    shape = (6, 40) if said.get("transB") else (40, 6)
    used = {name: one for name, one in constants.items() if name in inputs.split()}
    given = model([node("Gemm", inputs, "y", **said)], shape, **used)
    made = in_known_forms(given)
    assert difference(given, made, samples(shape, 1), ["y"]) == ""
    assert [one.op_type for one in made.graph.node] == [
        *([] if said.get("transB") else ["Transpose"]),
        "MatMul",
        "Transpose",
        *(["Add"] if len(inputs.split()) > 2 else []),
    ]
    rounded = quantized(given)
    assert any(one.op_type == "QuantizeLinear" for one in rounded.graph.node)
    assert min(cosines(given, rounded, shape)) > 0.999


# -- transposed convolutions in groups -----------------------------------------------------------


def grouped(groups: int, channels: int, *, bias: bool = True) -> onnx.ModelProto:
    more: dict[str, Any] = {"strides": [2, 2], "group": groups}
    constants = {"w": values(channels, channels // groups, 2, 2)}
    if bias:
        constants["b"] = values(channels, 1)[:, 0]
    read = "x w b" if bias else "x w"
    return model([node("ConvTranspose", read, "y", **more)], (1, channels, 4, 4), **constants)


@pytest.mark.parametrize("bias", [True, False])
def test_a_transposed_convolution_in_groups_becomes_one_for_each(bias: bool) -> None:
    given = grouped(2, 64, bias=bias)
    made = quantized(given, "openvino")
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(made))
    found = openvino_kinds(made)
    assert (found["Deconvolution", "u8"], found["Deconvolution", "f32"]) == (2, 0)
    assert min(cosines(given, made, (1, 64, 4, 4))) > 0.999
    plain = in_known_forms(given)
    assert difference(given, plain, samples((1, 64, 4, 4), 1), ["y"]) == ""
    names = [one.name for one in plain.graph.node]
    assert len(set(names)) == 4 and {name.rpartition("/")[0] for name in names} == {"m.y"}


@pytest.mark.parametrize(("groups", "channels"), [(1, 64), (2, 32), (8, 256), (64, 64)])
def test_many_or_small_groups_stay_together(groups: int, channels: int) -> None:
    made = in_known_forms(grouped(groups, channels))
    assert [one.op_type for one in made.graph.node] == ["ConvTranspose"]


def test_an_engine_without_a_kernel_for_it_keeps_the_groups() -> None:
    made = in_known_forms(grouped(2, 64), ("ConvTranspose",))
    assert [one.op_type for one in made.graph.node] == ["ConvTranspose"]
    both = [*grouped(2, 64).graph.node, node("Conv", "y w2", "z")]
    given = model(
        both,
        (1, 64, 4, 4),
        "z",
        w=values(64, 32, 2, 2),
        b=values(64, 1)[:, 0],
        w2=values(4, 64, 1, 1),
    )
    kinds = Counter(one.op_type for one in quantized(given).graph.node)
    assert (kinds["ConvTranspose"], kinds["Split"]) == (1, 0)


# -- files without layers that could be rounded --------------------------------------------------


def body(name: str, nodes: list[onnx.NodeProto]) -> onnx.GraphProto:
    result = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    return helper.make_graph(nodes, name, [], [result])


def in_branches() -> onnx.ModelProto:
    then, other = (body(name, [node("Conv", "x w", name)]) for name in ("a", "b"))
    nodes = [
        node("ReduceSum", "x", "s", keepdims=0),
        node("Greater", "s zero", "c"),
        node("If", "c", "y", then_branch=then, else_branch=other),
    ]
    return model(nodes, PICTURE, w=values(8, 4, 3, 3), zero=np.float32(0))


def halves() -> onnx.ModelProto:
    weights = {"w": values(8, 4, 3, 3).astype(np.float16)}
    nodes = [
        node("Cast", "x", "h", to=TensorProto.FLOAT16),
        node("Conv", "h w", "c"),
        node("Cast", "c", "y", to=TensorProto.FLOAT),
    ]
    return model(nodes, PICTURE, **weights)


def doubles() -> onnx.ModelProto:
    nodes = [
        node("Cast", "x", "d", to=TensorProto.DOUBLE),
        node("Conv", "d w", "c"),  # which ONNX Runtime does not run
        node("Cast", "c", "y", to=TensorProto.FLOAT),
    ]
    return model(nodes, PICTURE, w=values(8, 4, 3, 3).astype(np.float64))


def optimized() -> onnx.ModelProto:
    fused = node("FusedConv", "x w", "y", activation="Relu", domain="com.microsoft")
    return model([fused], PICTURE, domain="com.microsoft", w=values(8, 4, 3, 3))


def recurrent() -> onnx.ModelProto:
    weights = {"w": values(1, 32, 6), "r": values(1, 32, 8)}
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["y"], "lstm", hidden_size=8)
    return model([lstm], (5, 1, 6), **weights)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (in_branches, ", but for those inside of If, Loop and Scan, which stay float"),
        (
            halves,
            ": its weights have 16 bits, as of a file that was converted; give the float32 file "
            "that it was made from",
        ),
        (doubles, ": its weights have 64 bits; export the model in float32"),
        (
            optimized,
            ": its layers are operators of ONNX Runtime's own (com.microsoft::FusedConv), which it "
            "writes when it optimizes a file; give the file that this one was made from",
        ),
        (recurrent, "; LSTM stay float"),
        (lambda: model([node("Relu", "x", "y")], PICTURE), ", so there is nothing to quantize"),
    ],
)
def test_a_file_without_layers_that_could_be_rounded_is_told_why(make: Any, words: str) -> None:
    with pytest.raises(Unsupported) as caught:
        quantized(make())
    assert str(caught.value) == (
        "int8: the graph has no convolution or matrix product with constant float32 weights" + words
    )

"""The INT8 pass as a whole: what the target changes, and what it makes of real nets."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.passes.int8.int8 import Int8, scheme_of
from perfsuite.passes.int8.qdq import Scheme

QUANTIZED = {
    "onnxruntime": QuantizedGraphs("uint8", float_operators=("ConvTranspose",)),
    "openvino": QuantizedGraphs("uint8", sum_in_accumulator=True),
}


def context(runtime: str, side: int, samples: int | None = None) -> PassContext:
    def calibration(wanted: int) -> Iterator[Inputs]:
        rng = np.random.default_rng(0)
        for _ in range(wanted if samples is None else samples):
            yield {"images": rng.normal(size=(1, 3, side, side)).astype(np.float32)}

    def train() -> TrainingSet:
        raise AssertionError("INT8 does not train")

    return PassContext(
        inputs={},
        calibration=calibration,
        train=train,
        target=Target(runtime, "cpu", quantized=QUANTIZED[runtime]),
        checkpoint=Path("unused"),
        progress=lambda done, total: None,
        latency_s=no_clock,
    )


def no_clock(candidates: object, cold_bytes: int = 0) -> tuple[float, ...]:
    raise AssertionError("int8 does not listen to the clock")


def shufflenet(units: int = 2) -> onnx.ModelProto:
    """A stem and `units` units of ShuffleNetV2 with their channel split and shuffle, as exported.

    Each unit has three convolutions, the second of them depthwise.
    """
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    constants = {"fold": np.array([-1, 2, 8, 8, 8]), "unfold": np.array([-1, 16, 8, 8])}

    def add(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        name = outputs[0] + "/" + operator
        nodes.append(helper.make_node(operator, inputs, outputs, name, **attributes))
        return outputs[0]

    def convolution(name: str, value: str, shape: tuple[int, ...], **attributes: Any) -> str:
        # Values keep their size from unit to unit, as in trained nets: all share a scale.
        spread = (2 / np.prod(shape[1:])) ** 0.5
        constants[f"{name}.weight"] = rng.normal(0, spread, size=shape).astype(np.float32)
        constants[f"{name}.bias"] = rng.normal(0, 0.1, size=shape[0]).astype(np.float32)
        inputs = [value, f"{name}.weight", f"{name}.bias"]
        return add("Conv", inputs, [f"{name}_out"], **attributes)

    value = convolution("stem", "images", (16, 3, 1, 1))
    value = add("Relu", [value], ["stem_relu"])
    for unit in range(units):
        kept, branch = f"kept{unit}", f"branch{unit}"
        add("Split", [value], [kept, branch], axis=1, num_outputs=2)
        branch = convolution(f"a{unit}", branch, (8, 8, 1, 1))
        branch = add("Relu", [branch], [f"a{unit}_relu"])
        branch = convolution(f"b{unit}", branch, (8, 1, 3, 3), group=8, pads=[1] * 4)
        branch = convolution(f"c{unit}", branch, (8, 8, 1, 1))
        branch = add("Relu", [branch], [f"c{unit}_relu"])
        value = add("Concat", [kept, branch], [f"concat{unit}"], axis=1)
        value = add("Reshape", [value, "fold"], [f"folded{unit}"])
        value = add("Transpose", [value], [f"swapped{unit}"], perm=[0, 2, 1, 3, 4])
        value = add("Reshape", [value, "unfold"], [f"shuffled{unit}"])
    constants["fc.weight"] = rng.normal(size=(5, 16)).astype(np.float32)
    constants["fc.bias"] = rng.normal(size=5).astype(np.float32)
    value = add("GlobalAveragePool", [value], ["pooled"])
    value = add("Flatten", [value], ["flat"])
    add("Gemm", [value, "fc.weight", "fc.bias"], ["logits"], transB=1)
    graph = helper.make_graph(
        nodes,
        "shufflenet",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_onnxruntime_fuses_everything_into_8_bit_kernels(tmp_path: Path) -> None:
    changed = Int8(calibration_samples=2).apply(shufflenet(), context("onnxruntime", 8))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(changed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert (kinds["QLinearConv"], kinds["Conv"], kinds["FusedConv"]) == (7, 0, 0)
    assert (kinds["QLinearConcat"], kinds["Concat"]) == (2, 0)
    assert (kinds["QGemm"], kinds["Gemm"]) == (1, 0)
    # Only the network's input is rounded by itself, and nothing is turned back before the end.
    assert (kinds["QuantizeLinear"], kinds["DequantizeLinear"]) == (1, 0)


def test_openvino_fuses_everything_into_8_bit_kernels() -> None:
    changed = Int8(calibration_samples=2).apply(shufflenet(), context("openvino", 8))
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(changed.SerializeToString()), "CPU", settings)
    kinds: Counter[tuple[str, str]] = Counter()
    for node in compiled.get_runtime_model().get_ops():
        info = node.get_rt_info()
        kinds[info["layerType"].astype(str), info["runtimePrecision"].astype(str)] += 1
    assert kinds["Convolution", "u8"] == 7
    assert kinds["Convolution", "f32"] == 0
    assert kinds["ShuffleChannels", "u8"] == 2
    assert kinds["Concatenation", "u8"] == 2
    assert sum(count for (kind, _), count in kinds.items() if kind == "FakeQuantize") == 1


def test_every_weight_is_int8_per_channel_and_every_bias_float() -> None:
    changed = Int8(calibration_samples=2).apply(shufflenet(), context("onnxruntime", 8))
    constants = {t.name: numpy_helper.to_array(t) for t in changed.graph.initializer}
    producer = {out: node for node in changed.graph.node for out in node.output}
    convolutions = [node for node in changed.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 7
    for node in convolutions:
        weights, scales, zeros = (constants[name] for name in producer[node.input[1]].input)
        assert (weights.dtype, scales.shape) == (np.int8, (weights.shape[0],))
        assert not zeros.any()
        assert constants[node.input[2]].dtype == np.float32


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (QuantizedGraphs(), (False, 127, False)),
        (QuantizedGraphs("uint8", sum_in_accumulator=True, weight_bits=7), (False, 63, True)),
        (QuantizedGraphs("int8", sum_in_accumulator=True), (True, 127, True)),
    ],
)
def test_the_engine_says_how_it_wants_its_graphs(
    wanted: QuantizedGraphs, expected: tuple[bool, int, bool]
) -> None:
    target = Target("any", "cpu", quantized=wanted)
    scheme = scheme_of(target)
    assert (scheme.signed, scheme.weight_limit, scheme.sum_in_accumulator) == expected
    assert msgspec.json.decode(Int8().resolve(target), type=type(scheme)) == scheme


def test_targets_that_get_the_same_graph_share_a_key() -> None:
    one = Target("one", "cpu", ("avx512_vnni",), quantized=QuantizedGraphs())
    other = Target("other", "cuda", ("sm_90",), batch=8, quantized=QuantizedGraphs())
    assert Int8().resolve(one) == Int8().resolve(other)


def test_an_engine_without_quantized_graphs_is_told_how_to_say_that_it_runs_them() -> None:
    with pytest.raises(Unsupported, match=r"mine runs no quantized graphs on cuda; .*method quant"):
        Int8().resolve(Target("mine", "cuda"))


@pytest.mark.parametrize("samples", [0, -1])
def test_samples_must_be_positive(samples: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Int8(calibration_samples=samples)
    with pytest.raises(msgspec.ValidationError, match="at least 1"):
        msgspec.convert({"calibration_samples": samples}, Int8)


def small_model(opset: int, weights_are_inputs: bool = False) -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 4, 4])]
    if weights_are_inputs:
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 3, 1, 1]))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["images", "w"], ["y"], "conv")],
        "graph",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2, 4, 4])],
        [weights],
    )
    version = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=version, ir_version=3)


def test_old_files_are_brought_to_an_operator_set_that_can_be_quantized() -> None:
    changed = Int8(4).apply(small_model(11, weights_are_inputs=True), context("openvino", 4))
    onnx.checker.check_model(changed, full_check=True)
    assert changed.opset_import[0].version == 13
    assert [value.name for value in changed.graph.input] == ["images"]
    assert "w" not in {tensor.name for tensor in changed.graph.initializer}


def test_a_graph_of_a_fixed_batch_is_quantized_whatever_batch_was_asked_for() -> None:
    model = small_model(13)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    one, two = ({"images": np.ones((count, 3, 4, 4), np.float32)} for count in (1, 2))
    ctx = dataclasses.replace(
        context("openvino", 4), inputs=one, calibration=lambda samples: iter([two])
    )  # the engine refuses one sample by itself, as it does for the float graph
    assert "QuantizeLinear" in {node.op_type for node in Int8(4).apply(model, ctx).graph.node}


def test_nothing_to_quantize_is_said() -> None:
    model = small_model(13)
    model.graph.node[0].CopyFrom(helper.make_node("Relu", ["images"], ["y"], "relu"))
    with pytest.raises(Unsupported, match="nothing to quantize"):
        Int8().apply(model, context("openvino", 4))


def test_no_samples_are_said() -> None:
    with pytest.raises(ConfigError, match="no calibration samples"):
        Int8().apply(small_model(13), context("openvino", 4, samples=0))


def test_progress_counts_samples() -> None:
    seen: list[tuple[int, int]] = []
    given = context("openvino", 4)
    told = dataclasses.replace(given, progress=lambda done, total: seen.append((done, total)))
    Int8(calibration_samples=3).apply(small_model(13), told)
    assert seen == [(1, 3), (2, 3), (3, 3)]


# -- what is said, and what is left as it was ------------------------------------------------------


def test_messages_say_what_is_missing() -> None:
    with pytest.raises(Unsupported) as caught:
        scheme_of(Target("mine", "cuda"))
    assert str(caught.value) == (
        "int8: mine runs no quantized graphs on cuda; an engine that does says how it wants them: "
        "give the runtime a method quantized_graphs(device) that returns a "
        "perfsuite.QuantizedGraphs"
    )
    empty = small_model(13)
    empty.graph.node[0].CopyFrom(helper.make_node("Relu", ["images"], ["y"], "relu"))
    with pytest.raises(Unsupported) as caught:
        Int8().apply(empty, context("openvino", 4))
    assert str(caught.value) == (
        "int8: the graph has no convolution or matrix product with constant float32 weights, so "
        "there is nothing to quantize"
    )
    with pytest.raises(ValueError, match=r"^calibration_samples is 0, but must be at least 1$"):
        Int8(calibration_samples=0)
    assert Int8(calibration_samples=1).calibration_samples == 1


def test_a_file_too_old_to_be_converted_says_so() -> None:
    old = small_model(12)
    old.graph.node[0].op_type = "Mystery"
    with pytest.raises(BuildError) as caught:
        Int8().apply(old, context("openvino", 4))
    text = str(caught.value)
    assert text.startswith("int8: the graph has opset 12 and cannot be converted to 13, which ")
    assert "per-channel weights need: " in text
    assert text.endswith("; export it again with a newer one")


@pytest.mark.parametrize(("opset", "after"), [(12, 13), (13, 13), (17, 17)])
def test_only_an_old_operator_set_is_changed(opset: int, after: int) -> None:
    model = small_model(opset)
    model.opset_import.insert(0, helper.make_opsetid("com.example", 1))
    changed = Int8(2).apply(model, context("openvino", 4))
    assert {one.domain: one.version for one in changed.opset_import}[""] == after
    if opset >= 13:
        assert changed.ir_version == 4


def test_the_operator_set_may_be_named_in_full() -> None:
    model = small_model(13)
    model.opset_import[0].domain = "ai.onnx"
    assert Int8(2).apply(model, context("openvino", 4)).opset_import[0].version == 13


def test_a_new_file_keeps_its_version_and_the_one_given_stays_as_it_is() -> None:
    model = small_model(17)
    model.ir_version = 9
    before = model.SerializeToString()
    assert Int8(2).apply(model, context("openvino", 4)).ir_version == 9
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    ("wanted", "scheme"),
    [
        (QuantizedGraphs(), Scheme(False, 127, False)),
        (QuantizedGraphs("int8", True, 8), Scheme(True, 127, True)),
        (QuantizedGraphs("uint8", False, 7), Scheme(False, 63, False)),
        (QuantizedGraphs(float_operators=("A",)), Scheme(False, 127, False, ("A",))),
        (
            QuantizedGraphs("int8", True, pairs_before_layers=True),
            Scheme(True, 127, True, pairs_before_layers=True),
        ),
    ],
)
def test_the_scheme_is_the_engines(wanted: QuantizedGraphs, scheme: Scheme) -> None:
    target = Target("mine", "cpu", quantized=wanted)
    assert scheme_of(target) == scheme
    assert msgspec.json.decode(Int8().resolve(target), type=Scheme) == scheme


def test_keys_are_those_of_before_there_was_a_choice_of_pairs() -> None:
    """What was quantized for other engines, with hours of calibration, is still found."""
    target = Target("mine", "cpu", quantized=QuantizedGraphs("int8", True, 7, ("A",)))
    assert Int8().resolve(target) == (
        '{"signed":true,"weight_limit":63,"sum_in_accumulator":true,"float_operators":["A"]}'
    )


def test_batch_normalization_is_folded_before() -> None:
    model = small_model(13)
    model.graph.node[0].output[0] = "c"
    model.graph.node.append(
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["y"], "bn")
    )
    for name, value in (("g", 2.0), ("b", 1.0), ("m", 0.0), ("v", 1.0)):
        array = np.full(2, value, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    changed = Int8(2).apply(model, context("openvino", 4))
    assert "BatchNormalization" not in {one.op_type for one in changed.graph.node}


@pytest.mark.parametrize(("runtime", "pairs"), [("onnxruntime", 2), ("openvino", 1)])
def test_where_values_are_rounded_is_the_engines(runtime: str, pairs: int) -> None:
    """The input alone, or the result too."""
    changed = Int8(2).apply(small_model(13), context(runtime, 4))
    assert sum(one.op_type == "QuantizeLinear" for one in changed.graph.node) == pairs


def test_no_more_samples_are_told_than_were_asked_for() -> None:
    seen: list[tuple[int, int]] = []
    given = context("openvino", 4, samples=3)
    told = dataclasses.replace(given, progress=lambda done, total: seen.append((done, total)))
    Int8(calibration_samples=2).apply(small_model(13), told)
    assert seen == [(1, 2), (2, 2), (2, 2)]


def test_operators_without_8_bit_kernels_stay_as_they_are() -> None:
    model = small_model(13)
    model.graph.node[0].output[0] = "c"
    model.graph.node.append(helper.make_node("ConvTranspose", ["c", "v"], ["y"], "up"))
    weights = np.ones((2, 2, 1, 1), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "v"))
    for runtime, left in (("onnxruntime", True), ("openvino", False)):
        changed = Int8(2).apply(model, context(runtime, 4))
        (up,) = (one for one in changed.graph.node if one.op_type == "ConvTranspose")
        assert (up.input[1] == "v") == left


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("mask", [-np.inf, np.finfo(np.float32).min])
def test_what_is_masked_by_design_stays_float(runtime: str, mask: float) -> None:
    """Of two convolutions, the scores of the first are masked before the second reads them."""
    model = small_model(13)
    model.graph.node[0].output[0] = "scores"
    model.graph.node.extend(
        [
            helper.make_node("Where", ["visible", "scores", "mask"], ["masked"], "hide"),
            helper.make_node("MaxPool", ["masked"], ["best"], "best", kernel_shape=[2, 2]),
            helper.make_node("Conv", ["best", "v"], ["y"], "second"),
        ]
    )
    constants = {
        "visible": np.arange(4) > 0,
        "mask": np.float32(mask),
        "v": np.ones((2, 2, 1, 1), np.float32),
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()
    )
    changed = Int8(2).apply(model, context(runtime, 4))
    first, second = (one for one in changed.graph.node if one.op_type == "Conv")
    assert (first.input[1] == "w", second.input[1] == "v") == (False, True)
    assert "masked_scale" not in {one.name for one in changed.graph.initializer}
    model.graph.node[0].CopyFrom(helper.make_node("Identity", ["images"], ["scores"], "none"))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    model.graph.initializer[-1].CopyFrom(
        numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "v")
    )
    with pytest.raises(Unsupported, match=r"infinite, or empty, .*samples \(masked\)"):
        Int8(2).apply(model, context(runtime, 4))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_what_is_too_small_for_a_scale_stays_float(runtime: str) -> None:
    """Of three convolutions the second has such weights, and the third reads such values."""
    model = small_model(13)
    model.graph.node[0].output[0] = "first"
    weights = {"v": np.full((2, 2, 1, 1), 1e-39, np.float32), "u": np.eye(2, dtype=np.float32)}
    model.graph.initializer.extend(
        numpy_helper.from_array(array.reshape(2, 2, 1, 1), name) for name, array in weights.items()
    )
    model.graph.node.append(helper.make_node("Conv", ["first", "v"], ["second"], "second"))
    model.graph.node.append(helper.make_node("Conv", ["second", "u"], ["y"], "third"))
    changed = Int8(2).apply(model, context(runtime, 4))
    read = [one.input[1] for one in changed.graph.node if one.op_type == "Conv"]
    assert read[1:] == ["v", "u"] and read[0] != "w"
    model = small_model(13)
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.full((2, 3, 1, 1), 1e-39, np.float32), "w")
    )
    with pytest.raises(Unsupported, match="is too small for 8 bits to have a scale"):
        Int8(2).apply(model, context(runtime, 4))

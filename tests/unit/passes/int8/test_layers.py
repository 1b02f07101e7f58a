"""INT8 limited to layers: which names they have, what stays float, and what unknown names get."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper
from outlier_net import LAYERS, float_layers, outlier_net, pictures
from passing import context

from perfsuite.config.conversion import Location, convert
from perfsuite.domain.recipe import PassUse
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.export.left import left_in
from perfsuite.passes.int8.int8 import Int8
from perfsuite.runner.build.steps import Step

RUNTIMES = ("onnxruntime", "openvino")


def rounded(runtime: str = "onnxruntime", **fields: Any) -> onnx.ModelProto:
    made = Int8(calibration_samples=64, **fields).apply(outlier_net(), context(runtime))
    onnx.checker.check_model(made)
    return made


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("fields", "stay"),
    [
        ({}, set()),
        ({"layers": ("head",)}, set(LAYERS) - {"head"}),
        ({"layers": ("head/Gemm",)}, set(LAYERS) - {"head"}),
        ({"layers": ("body",)}, {"first", "head"}),
        ({"layers": ("body.?",)}, {"first", "body.bad", "head"}),
        ({"keep": ("body.bad", "f*")}, {"first", "body.bad"}),
        ({"layers": ("body",), "keep": ("*/Gemm", "body.b")}, {"first", "body.b", "head"}),
    ],
)
def test_only_what_is_named_is_rounded(
    runtime: str, fields: dict[str, Any], stay: set[str]
) -> None:
    assert float_layers(rounded(runtime, **fields)) == stay


def test_what_stays_float_answers_as_before() -> None:
    """All of the error is that of the layer that is rounded: without it there is none."""
    x = {"x": pictures(8)}
    before = answer(outlier_net(), x)
    head = answer(rounded("openvino", layers=("head",)), x)
    whole = answer(rounded("openvino"), x)
    assert 0 < relative(head, before) < 0.05 < relative(whole, before)


def answer(model: onnx.ModelProto, x: dict[str, np.ndarray]) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, x)[0]
    return found


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def test_only_what_was_kept_is_told_with_a_reason() -> None:
    told = left_in(rounded(keep=("body.bad",)))
    assert told == {"body.bad": "as the recipe asks for"}
    assert left_in(rounded(layers=("head",))) == {}
    assert not rounded().metadata_props


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keep": ("body.bda",)}, r"keep\[0\]: the model has no .* 'body.bda'; did you mean 'body"),
        ({"layers": ("head", "first/Relu")}, r"layers\[1\]: the model has no convolution"),
        ({"layers": ("hea",)}, "did you mean 'head'"),
    ],
)
def test_an_unknown_name_is_an_error_with_a_suggestion(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        rounded(**fields)


def test_if_nothing_is_left_to_round_it_says_why() -> None:
    with pytest.raises(Unsupported, match=r"with keep = \['\*'\] nothing is left"):
        rounded(keep=("*",))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"layers": ("first", "head"), "keep": ("h*",)}, "layers[1]: 'head' names 'head', and"),
        ({"layers": ("head", "body.b"), "keep": ("body",)}, "layers[1]: 'body.b' names 'body.b',"),
        ({"layers": ("body",), "keep": ("*/Conv",)}, "'body' names 'body.a' and 2 more, and `keep"),
    ],
)
def test_a_layer_is_rounded_or_kept_and_not_both(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        rounded(**fields)
    assert told in str(error.value)
    assert str(error.value).endswith(
        "does, too; a layer is rounded or stays in float: take it out of one of both"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keep": "body"}, r'give a list of layers, keep = \["body"\], or "auto"'),
        ({"keep": "auto"}, 'keep = "auto" needs max_drop_points'),
        ({"max_drop_points": 1.0}, 'max_drop_points is for keep = "auto"'),
        ({"keep": "auto", "max_drop_points": -1.0}, "must be at least 0"),
        ({"layers": ["a", "b"], "keep": ["c", "b"]}, "'b' stands in `layers` and in `keep`; a lay"),
    ],
)
def test_fields_that_contradict_each_other(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        convert(fields, Int8, Location("suite.toml"))


def test_fields_of_a_suite_are_read() -> None:
    made = convert({"layers": ["a"], "keep": ["b", "c.*"]}, Int8, Location("suite.toml"))
    assert (made.layers, made.keep) == (("a",), ("b", "c.*"))
    auto = convert({"keep": "auto", "max_drop_points": 0.5}, Int8, Location("suite.toml"))
    assert (auto.keep, auto.max_drop_points) == ("auto", 0.5)


def test_the_keys_of_earlier_configurations_stay() -> None:
    target = context("openvino").target

    def key(**fields: Any) -> str:
        return Step(PassUse("int8", fields), Int8(**fields)).key("parent", "data", target)

    old = msgspec.defstruct(
        "Int8",
        [("calibration_samples", int, 256)],
        namespace={"version": Int8.version, "resolve": lambda _, target: Int8().resolve(target)},
        frozen=True,
    )
    for fields in ({}, {"calibration_samples": 9}):
        assert Step(PassUse("int8", fields), old(**fields)).key("parent", "data", target) == key(
            **fields
        )
    assert key(portable=False) == key()
    others = [{"layers": ("a",)}, {"keep": ("a",)}, {"keep": ("b",)}, {"portable": True}]
    assert len({key(), *(key(**fields) for fields in others)}) == 5
    assert key(keep="auto", max_drop_points=1.0) != key(keep="auto", max_drop_points=2.0)


def test_the_layers_that_can_be_rounded_are_told_in_the_order_of_the_net() -> None:
    found = Int8().changeable(outlier_net(), context("openvino"))
    assert found.layers == LAYERS
    assert found.left == {}


def test_a_layer_with_others_inside_it_is_told_by_its_nodes() -> None:
    """As attention has, whose projection is a layer of its own below it."""
    net = outlier_net()
    for node in net.graph.node:
        node.name = node.name.replace("body.b/", "body.a.inner/")
    found = Int8().changeable(net, context("openvino"))
    assert found.layers == ("first", "body.a/Conv", "body.bad", "body.a.inner", "head")
    made = Int8(4, layers=("body.a/Conv",)).apply(net, context("openvino"))
    assert float_layers(made) == {"first", "body.bad", "body.a.inner", "head"}


def test_a_layer_that_is_never_rounded_is_told_with_the_reason() -> None:
    net = outlier_net()
    net.graph.node.append(helper.make_node("MatMul", ["y", "turned"], ["z"], "gram/MatMul"))
    net.graph.node.insert(
        len(net.graph.node) - 1, helper.make_node("Transpose", ["y"], ["turned"], "gram/Transpose")
    )
    net.graph.output.append(helper.make_tensor_value_info("z", 1, ["batch", "batch"]))
    found = Int8().changeable(net, context("openvino"))
    assert found.layers == LAYERS
    assert list(found.left) == ["gram"]
    assert found.left["gram"].startswith("openvino runs it in float")
    with pytest.raises(Unsupported, match="nothing is left that could be rounded on openvino"):
        Int8(4, layers=("gram",)).apply(net, context("openvino"))


def test_what_can_be_rounded_is_told_of_nets_without_calibration_or_layers() -> None:
    found = Int8().changeable(outlier_net(), context("openvino", calibration=lambda _: iter(())))
    assert found.layers == LAYERS
    bare = outlier_net()
    del bare.graph.node[:-3]
    bare.graph.node.pop()
    bare.graph.node[0].input[0] = "x"
    del bare.graph.output[:]
    bare.graph.output.append(helper.make_tensor_value_info("flat", 1, ["batch", 3]))
    with pytest.raises(Unsupported, match="nothing to quantize"):
        Int8().changeable(bare, context("openvino"))


def test_the_word_auto_is_no_list_of_layers() -> None:
    net = outlier_net()
    net.graph.node.append(helper.make_node("MatMul", ["y", "turned"], ["z"], "gram/MatMul"))
    net.graph.node.insert(
        len(net.graph.node) - 1, helper.make_node("Transpose", ["y"], ["turned"], "gram/Transpose")
    )
    net.graph.output.append(helper.make_tensor_value_info("z", 1, ["batch", "batch"]))
    with pytest.raises(Unsupported) as error:
        Int8(4, layers=("gram",), keep="auto", max_drop_points=1.0).apply(net, context("openvino"))
    assert str(error.value) == (
        "int8: with layers = ['gram'] nothing is left that could be rounded on openvino: it rounds "
        "convolutions and matrix products with constant float32 weights"
    )

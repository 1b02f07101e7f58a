"""Small ONNX graphs of odd kinds, as people's exporters write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

SIDE, CLASSES = 6, 4
Make = Callable[[], onnx.ModelProto]

node = helper.make_node


def constants(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, CLASSES)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def body(x: str = "x", y: str = "y", names: Sequence[str] = ()) -> list[onnx.NodeProto]:
    """Convolution, ReLU, mean, linear: from `x` to `y`."""
    given = [*names] or ["conv", "relu", "pool", "flatten", "linear"]
    return [
        node("Conv", [x, "w1"], ["c"], given[0]),
        node("Relu", ["c"], ["r"], given[1]),
        node("GlobalAveragePool", ["r"], ["p"], given[2]),
        node("Flatten", ["p"], ["f"], given[3]),
        node("Gemm", ["f", "w2"], [y], given[4]),
    ]


def value(name: str, shape: Sequence[int | str] | None, kind: int = T.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


X, Y = value("x", ["n", 3, SIDE, SIDE]), value("y", ["n", CLASSES])


def model(
    nodes: Sequence[onnx.NodeProto],
    outputs: Sequence[Any] = (Y,),
    inputs: Sequence[Any] = (X,),
    more: dict[str, np.ndarray] | None = None,
    *,
    opset: int = 17,
    domains: Sequence[str] = (),
    functions: Sequence[Any] = (),
    weights: dict[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    kept = {**(constants() if weights is None else weights), **(more or {})}
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in kept.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(one, 1) for one in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10, functions=functions)


# -- names and values ----------------------------------------------------------------------------


def unused_input() -> onnx.ModelProto:
    return model(body(), inputs=(X, value("z", ["n", 2])))


def weights_among_inputs() -> onnx.ModelProto:
    more = [value(name, one.shape) for name, one in constants().items()]
    return model(body(), inputs=(X, *more))


def input_as_output() -> onnx.ModelProto:
    return model(body(), outputs=(Y, X))


def input_through_identity() -> onnx.ModelProto:
    same = value("x2", ["n", 3, SIDE, SIDE])
    return model([*body(), node("Identity", ["x"], ["x2"], "same")], outputs=(Y, same))


def value_under_two_names() -> onnx.ModelProto:
    nodes = [*body(y="l"), node("Identity", ["l"], ["y"], "one"),
             node("Identity", ["l"], ["y2"], "two")]  # fmt: skip
    return model(nodes, outputs=(Y, value("y2", ["n", CLASSES])))


def weight_as_output() -> onnx.ModelProto:
    return model(body(), outputs=(Y, value("w2", [8, CLASSES])))


def constant_as_output() -> onnx.ModelProto:
    tensor = numpy_helper.from_array(np.array([1.0, 2.0], np.float32))
    return model([*body(), node("Constant", [], ["k"], "k", value=tensor)],
                 outputs=(Y, value("k", [2])))  # fmt: skip


def names_used_twice() -> onnx.ModelProto:
    return model(body(names=["n"] * 5))


def no_names() -> onnx.ModelProto:
    return model(body(names=[""] * 5))


def odd_names() -> onnx.ModelProto:
    return model(body(names=["a/b c", "ü,ö", 'q"uote', "back\\slash\n", "/x/1/"]))


# -- outputs -------------------------------------------------------------------------------------


def weights_twice() -> onnx.ModelProto:
    made = model(body())
    made.graph.initializer.append(made.graph.initializer[0])
    return made


def mostly_zeros() -> dict[str, np.ndarray]:
    """Return weights of which three quarters are zeros."""
    keep = {
        name: np.arange(one.size).reshape(one.shape) % 4 == 0 for name, one in constants().items()
    }
    return {name: np.where(keep[name], one, np.float32(0)) for name, one in constants().items()}


def sparse_weights() -> onnx.ModelProto:
    """The places of the first are numbers of elements, of the second coordinates."""
    made = model(body(), weights={})
    for name, one in mostly_zeros().items():
        places = np.flatnonzero(one) if name == "w1" else np.argwhere(one)
        made.graph.sparse_initializer.append(
            helper.make_sparse_tensor(
                numpy_helper.from_array(one[one != 0], name),
                numpy_helper.from_array(places.astype(np.int64), f"{name}_places"),
                one.shape,
            )
        )
    return made


def sparse_constant() -> onnx.ModelProto:
    first, second = sparse_weights().graph.sparse_initializer
    made = [node("Constant", [], ["w1"], "w1", sparse_value=first)]
    made.append(node("Constant", [], ["w2"], "w2", sparse_value=second))
    return model([*made, *body()], weights={})


def scalar_output() -> onnx.ModelProto:
    mean = node("ReduceMean", ["f"], ["s"], "mean", keepdims=0)
    return model([*body(), mean], outputs=(Y, value("s", [])))


def empty_output() -> onnx.ModelProto:
    part = node("Slice", ["f", "zero", "zero", "one"], ["e"], "none")
    edges = {"zero": np.array([0], np.int64), "one": np.array([1], np.int64)}
    return model([*body(), part], outputs=(Y, value("e", ["n", 0])), more=edges)


def whole_numbers() -> onnx.ModelProto:
    nodes = [
        *body(),
        node("Greater", ["y", "zero"], ["b"], "greater"),
        node("ArgMax", ["y"], ["i"], "top", axis=1, keepdims=0),
    ]
    outputs = (Y, value("b", ["n", CLASSES], T.BOOL), value("i", ["n"], T.INT64))
    return model(nodes, outputs, more={"zero": np.float32(0)})


def huge_numbers() -> onnx.ModelProto:
    nodes = [
        *body(),
        node("ArgMax", ["y"], ["i"], "top", axis=1, keepdims=0),
        node("Add", ["i", "huge"], ["h"], "huge"),
    ]
    more = {"huge": np.array([2**62], np.int64)}
    return model(nodes, (Y, value("h", ["n"], T.INT64)), more=more)


def sequence_output() -> onnx.ModelProto:
    made = node("SequenceConstruct", ["y", "f"], ["q"], "sequence")
    kind = helper.make_tensor_sequence_value_info("q", T.FLOAT, None)
    return model([*body(), made], outputs=(Y, kind))


def optional_output() -> onnx.ModelProto:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(T.FLOAT, None))
    made = node("Optional", ["f"], ["o"], "optional")
    return model([*body(), made], outputs=(Y, helper.make_value_info("o", kind)))


def text_output() -> onnx.ModelProto:
    nodes = [
        *body(),
        node("ArgMax", ["y"], ["i"], "top", axis=1, keepdims=0),
        node("Gather", ["words", "i"], ["t"], "word"),
    ]
    words = np.array(["ant", "bee", "cat", "dog"], object)
    return model(nodes, (Y, value("t", ["n"], T.STRING)), more={"words": words})


def maps_output() -> onnx.ModelProto:
    nodes = [
        *body(y="l"),
        node("Softmax", ["l"], ["s"], "softmax"),
        node("ZipMap", ["s"], ["m"], "maps", domain="ai.onnx.ml",
             classlabels_int64s=[0, 1, 2, 3]),
    ]  # fmt: skip
    kind = onnx.TypeProto()
    inner = kind.sequence_type.elem_type.map_type
    inner.key_type = T.INT64
    inner.value_type.tensor_type.elem_type = T.FLOAT
    return model(nodes, (helper.make_value_info("m", kind),), domains=("ai.onnx.ml",))


def bf16_output() -> onnx.ModelProto:
    return model([*body(y="l"), node("Cast", ["l"], ["y"], "cast", to=T.BFLOAT16)],
                 (value("y", ["n", CLASSES], T.BFLOAT16),))  # fmt: skip


def masked_logits() -> onnx.ModelProto:
    nodes = [
        *body(y="l"),
        node("Less", ["l", "zero"], ["b"], "less"),
        node("Where", ["b", "least", "l"], ["y"], "mask"),
    ]
    return model(nodes, more={"zero": np.float32(0), "least": np.float32(-np.inf)})


def nan_of_made_up_inputs() -> onnx.ModelProto:
    return model([node("Log", ["x"], ["lx"], "log"), *body(x="lx")])


# -- operators -----------------------------------------------------------------------------------


def local_function() -> onnx.ModelProto:
    inside = [
        node("Conv", ["a", "w"], ["b"], "conv"),
        node("Relu", ["b"], ["o"], "relu"),
    ]
    block = helper.make_function(
        "mine", "Block", ["a", "w"], ["o"], inside, [helper.make_opsetid("", 17)]
    )
    nodes = [
        node("Block", ["x", "w1"], ["r0"], "stem", domain="mine"),
        node("Block", ["r0", "w3"], ["r"], "trunk/block", domain="mine"),
        *body()[2:],
    ]
    w3 = np.random.default_rng(3).normal(size=(8, 8, 1, 1)).astype(np.float32)
    return model(nodes, more={"w3": w3}, domains=("mine",), functions=[block])


def custom_operator() -> onnx.ModelProto:
    return model([*body(y="l"), node("Sharpen", ["l"], ["y"], "own", domain="com.acme")],
                 domains=("com.acme",))  # fmt: skip


# -- precisions ----------------------------------------------------------------------------------


def whole_fp16() -> onnx.ModelProto:
    halves = {name: one.astype(np.float16) for name, one in constants().items()}
    return model(body(), (value("y", ["n", CLASSES], T.FLOAT16),),
                 (value("x", ["n", 3, SIDE, SIDE], T.FLOAT16),), weights=halves)  # fmt: skip


def fp16_weights() -> onnx.ModelProto:
    halves = {f"{name}_half": one.astype(np.float16) for name, one in constants().items()}
    casts = [node("Cast", [f"{name}_half"], [name], name, to=T.FLOAT) for name in constants()]
    return model([*casts, *body()], weights=halves)


def int8_weights() -> onnx.ModelProto:
    """Weights alone are stored in 8 bits, by channel."""
    stored, restored = {}, []
    for name, one in constants().items():
        axis = 0 if one.ndim == 4 else 1
        scale = np.abs(one).max(axis=tuple(a for a in range(one.ndim) if a != axis)) / 127
        along = scale.reshape([-1 if a == axis else 1 for a in range(one.ndim)])
        stored[f"{name}_q"] = np.round(one / along).astype(np.int8)
        stored[f"{name}_s"] = scale.astype(np.float32)
        stored[f"{name}_z"] = np.zeros(len(scale), np.int8)
        read = [f"{name}_q", f"{name}_s", f"{name}_z"]
        restored.append(node("DequantizeLinear", read, [name], f"{name}_dq", axis=axis))
    return model([*restored, *body()], weights=stored)


def int8_dynamic() -> onnx.ModelProto:
    """The last product as onnxruntime's quantize_dynamic writes it with `reduce_range`."""
    weight = constants()["w2"]
    scale = np.float32(np.abs(weight).max() / 63)  # sums of 7 bits overflow nowhere
    more = {"w2_q": np.round(weight / scale).astype(np.int8), "w2_s": scale,
            "w2_z": np.int8(0)}  # fmt: skip
    nodes = [
        *body()[:-1],
        node("DynamicQuantizeLinear", ["f"], ["fq", "fs", "fz"], "round"),
        node("MatMulInteger", ["fq", "w2_q", "fz", "w2_z"], ["i"], "linear"),
        node("Cast", ["i"], ["if"], "cast", to=T.FLOAT),
        node("Mul", ["fs", "w2_s"], ["s"], "scale"),
        node("Mul", ["if", "s"], ["y"], "restore"),
    ]
    return model(nodes, more=more)


# -- answers by chance ---------------------------------------------------------------------------


def noise() -> onnx.ModelProto:
    noisy = [
        node("RandomNormalLike", ["x"], ["e"], "noise"),
        node("Add", ["x", "e"], ["xe"], "add"),
    ]
    return model([*noisy, *body("xe")])


def dropout_left_on() -> onnx.ModelProto:
    drop = node("Dropout", ["f", "half", "on"], ["d"], "drop")
    last = node("Gemm", ["d", "w2"], ["y"], "linear")
    more = {"half": np.float32(0.5), "on": np.array(True)}
    return model([*body()[:-1], drop, last], more=more)


def dropout_turned_off() -> onnx.ModelProto:
    made = dropout_left_on()
    made.graph.initializer[-1].CopyFrom(numpy_helper.from_array(np.array(False), "on"))
    return made


# -- what cannot be run --------------------------------------------------------------------------


def no_output() -> onnx.ModelProto:
    return model(body(), outputs=())


def output_listed_twice() -> onnx.ModelProto:
    return model(body(), outputs=(Y, Y))


def future_operators() -> onnx.ModelProto:
    return model(body(), opset=99)


def future_format() -> onnx.ModelProto:
    made = model(body())
    made.ir_version = 99
    return made


def sequence_input() -> onnx.ModelProto:
    kind = helper.make_tensor_sequence_value_info("q", T.FLOAT, None)
    nodes = [node("SequenceAt", ["q", "zero"], ["x"], "first"), *body()]
    return model(nodes, inputs=(kind,), more={"zero": np.array(0, np.int64)})


def optional_input() -> onnx.ModelProto:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(T.FLOAT, None))
    nodes = [node("OptionalGetElement", ["o"], ["x"], "given"), *body()]
    return model(nodes, inputs=(helper.make_value_info("o", kind),), opset=18)

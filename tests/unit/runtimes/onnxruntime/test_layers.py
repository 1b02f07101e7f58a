"""Layers of ONNX Runtime have the names of the graph's nodes, and MLAS is only concluded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.profile import Node
from perfsuite.runtimes.onnxruntime import layers as module
from perfsuite.runtimes.onnxruntime.layers import layer_kernels, usable_features, weights
from perfsuite.runtimes.shared.denormals import Share
from perfsuite.runtimes.shared.origins import Graph

ZEN = ("avx", "avx2", "avx512f", "avx512bw", "avx512_vnni")
CPU = "CPUExecutionProvider"


def node(name: str, kind: str, *inputs: str) -> Node:
    return Node(name, kind, "", inputs, (f"{name}:out",))


# Two convolutions are added, the second one by way of a shortcut, then there is a product.
GRAPH = Graph(
    [
        node("a", "Conv", "x"),
        node("a/relu", "Relu", "a:out"),
        node("b", "Conv", "a/relu:out"),
        node("shortcut", "Conv", "a/relu:out"),
        node("add", "Add", "b:out", "shortcut:out"),
        node("add/relu", "Relu", "add:out"),
        node("head", "Gemm", "add/relu:out"),
    ]
)


def event(kind: str, dtype: str = "float", provider: str = CPU, *shapes: list[int]) -> Any:
    given = [{dtype: list(shape)} for shape in shapes or ([1, 3, 8, 8],)]
    return {"op_name": kind, "provider": provider, "input_type_shape": given}


def ran(**events: Any) -> Any:
    return {(f"{name}_kernel_time", "0"): one for name, one in events.items()}


def test_a_kernel_that_is_named_after_what_it_stores_is_the_layer_before_it() -> None:
    nodes = ran(
        **{
            "a/relu:out_nchwc": event("Conv"),
            "shortcut": event("Conv"),
            "add/relu:out": event("FusedConv"),
            "pool": event("MaxPool"),
            "ReorderOutput": event("ReorderOutput"),
            "head": event("Gemm"),
        }
    )
    found = layer_kernels(nodes, GRAPH, ZEN)
    assert [(one.layer, one.operator) for one in found] == [
        ("a", "Conv"),
        ("shortcut", "Conv"),
        ("b", "FusedConv"),
        ("head", "Gemm"),
    ]


def test_no_node_is_named_twice_and_unknown_names_stay() -> None:
    nodes = ran(
        **{"add/relu:out": event("Conv"), "add:out": event("Conv"), "made up": event("MatMul")}
    )
    found = [one.layer for one in layer_kernels(nodes, GRAPH, ZEN)]
    assert found == ["b", "shortcut", "made up"]
    more = ran(**{name: event("Conv") for name in ("b", "shortcut", "add/relu:out")})
    assert [one.layer for one in layer_kernels(more, GRAPH, ZEN)][2] == "add/relu:out"


def test_mlas_is_concluded_for_the_processors_provider() -> None:
    shapes = ([1, 3, 8, 8], [4, 3, 3, 3], [4])
    (found,) = layer_kernels(ran(a=event("Conv", "float", CPU, *shapes)), GRAPH, ZEN)
    assert found == LayerKernel(
        "a", "Conv", CPU, "MLAS", "AVX-512", "fp32", "inferred", ((1, 3, 8, 8), (4, 3, 3, 3))
    )


def test_another_provider_is_named() -> None:
    nodes = ran(a=event("Conv", provider="DnnlExecutionProvider"), b=event("Conv", provider="Mine"))
    found = layer_kernels(nodes, GRAPH, ZEN)
    assert [(one.library, one.instruction_set, one.how) for one in found] == [
        ("oneDNN", "", "inferred"),
        ("Mine", "", "observed"),
    ]


@pytest.mark.parametrize(
    ("features", "fp32", "int8"),
    [
        (ZEN, "AVX-512", "AVX-512 VNNI"),
        ((*ZEN, "amx_int8"), "AVX-512", "AMX"),
        (("avx", "avx2"), "AVX2", "AVX2"),
        (("avx", "avx2", "avx_vnni"), "AVX2", "AVX2 VNNI"),
        (("sse4_1",), "", "SSE4"),
        (("asimd",), "NEON", "NEON"),
        ((), "", ""),
    ],
)
def test_its_instruction_set_follows_from_the_processor(
    features: tuple[str, ...], fp32: str, int8: str
) -> None:
    nodes = ran(a=event("Conv"), b=event("QLinearConv", "uint8"))
    found = [one.instruction_set for one in layer_kernels(nodes, GRAPH, features)]
    assert found == [fp32, int8]


@pytest.mark.parametrize(
    ("hidden", "left"),
    [
        ((), {"avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni"}),
        (("AVX512F",), {"avx", "avx2"}),
        (("AVX512F", "AVX2"), {"avx"}),
    ],
)
def test_what_an_emulator_hides_is_not_used(
    monkeypatch: pytest.MonkeyPatch, hidden: tuple[str, ...], left: set[str]
) -> None:
    every = ("avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni")
    asked = {name: name not in hidden for name in ("AVX512F", "AVX2")}
    monkeypatch.setattr(module, "read_processor", lambda: SimpleNamespace(features=every))
    monkeypatch.setattr(module, "import_module", lambda _: SimpleNamespace(__cpu_features__=asked))
    assert usable_features() == left


def test_without_numpys_word_the_kernels_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(module, "read_processor", lambda: SimpleNamespace(features=("avx2",)))
    monkeypatch.setattr(module, "import_module", missing)
    assert usable_features() == {"avx2"}


def test_denormals_in_initializers_and_constants(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    small = np.array([1e-40, 1, 0], np.float32)
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(small, "c"))
    graph = helper.make_graph(
        [constant, helper.make_node("Add", ["c", "w"], ["y"])],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
        [
            numpy_helper.from_array(small, "w"),
            numpy_helper.from_array(np.array([1], np.int64), "shape"),
        ],
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert list(weights(tmp_path / "m.onnx")) == [Share("w", 1, 3), Share("c", 1, 3)]

"""OpenVINO's kernels are traced back to the nodes that it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from profile_net import check_traced, export, profiled

from perfsuite.domain.profile import Node
from perfsuite.runtimes.openvino import profile as openvino_profile
from perfsuite.runtimes.openvino.profile import CompiledLayer, in_calls, once, origins, profile
from perfsuite.runtimes.openvino.runtime import OpenVino


@pytest.mark.parametrize("quantized", [False, True])
def test_every_kernel_has_an_owner(tmp_path: Path, quantized: bool) -> None:
    graph = export(tmp_path, "openvino" if quantized else None)
    (tmp_path / "artifact").mkdir()
    found = profiled(OpenVino(), graph, tmp_path / "artifact", 20, quantized)
    check_traced(found, graph)
    assert len(found.walls_s) == 1
    assert 0 < sum(kernel.times_s[0] for kernel in found.kernels) < found.walls_s[0]
    precisions = {kernel.precision for kernel in found.kernels if kernel.kind == "Convolution"}
    assert precisions == {"int8" if quantized else "fp32"}


def node(name: str, kind: str, inputs: str, outputs: str, owner: str = "") -> Node:
    return Node(name, kind, owner, tuple(inputs.split()), tuple(outputs.split()))


# One ONNX convolution, made of two layers; one rounding, made of two; a Relu between.
GIVEN = [
    node("a/Conv/WithoutBiases", "Convolution", "x:0", "a/Conv/WithoutBiases:0", "a/Conv"),
    node("a/Conv", "Add", "a/Conv/WithoutBiases:0", "a/Conv:0", "a/Conv"),
    node("a/Relu", "Relu", "a/Conv:0", "a/Relu:0", "a/Relu"),
    node("FakeQuantize_7", "FakeQuantize", "a/Relu:0", "FakeQuantize_7:0"),
    node("a/Quantize", "Convert", "FakeQuantize_7:0", "a/Quantize:0", "a/Quantize"),
]


def layer(name: str, inputs: str, merged: str, kind: str = "Any") -> CompiledLayer:
    names = tuple(merged.split(","))
    return CompiledLayer(node(name, kind, inputs, f"{name}:0"), names, "f32", 1e-6)


def test_what_vanished_between_two_merged_layers_is_merged_too() -> None:
    found = [layer("c", "x:0", "a/Conv/WithoutBiases,Multiply_9,a/Conv,a/Quantize")]
    assert origins(GIVEN, found)[0] == [("a/Conv", "a/Relu", "a/Quantize")]


def test_made_up_names_own_nothing_and_appended_parts_are_dropped() -> None:
    found = [
        layer("in_abcd_acdb_c", "x:0", ""),
        layer("c", "in_abcd_acdb_c:0", "a/Conv/WithoutBiases/DequantizationMultiply"),
        layer("q", "c:0", "FakeQuantize_7"),
    ]
    names, nearby = origins(GIVEN, found)
    assert names == [(), ("a/Conv",), ()]
    assert nearby == [("a/Conv",), (), ("a/Conv",)]


def test_what_depends_on_constants_alone_ran_when_the_graph_was_compiled() -> None:
    """A weight is restored and laid out anew before the convolution; listed in no order."""
    found = [
        layer("conv", "x:0 laid:0", "conv", "Convolution"),
        layer("laid", "restored:0", "", "Reorder"),
        layer("restored", "w:0 s:0", "dq", "Subgraph"),
        layer("w", "", "w", "Const"),
        layer("s", "", "s", "Const"),
        layer("x", "", "x", "Input"),
        layer("noise", "s:0", "noise", "RandomUniform"),
        layer("sum", "noise:0 s:0", "sum", "Eltwise"),
    ]
    assert [one.node.name for one in in_calls(found)] == ["conv", "x", "noise", "sum"]
    assert [one.node.name for one in once(found)] == ["laid", "restored"]


def test_the_share_of_the_warm_up_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two warm calls of 10 us on average, then the mean of all 2 + 4 is 6 us: 4 us a call."""
    means = iter([10e-6, 6e-6])

    def counters(_: Any) -> list[CompiledLayer]:
        mean_s = next(means)
        given = CompiledLayer(node("x", "Input", "", "x:0"), (), "f32", None)
        idle = CompiledLayer(node("w", "Const", "", "w:0"), (), "f32", None)
        done = CompiledLayer(node("v", "Convert", "w:0", "v:0"), ("a/Conv",), "f32", 1.0)
        brief = CompiledLayer(node("a/Q", "Convert", "r:0", "q:0"), ("a/Quantize",), "u8", None)
        ran = CompiledLayer(node("a/Relu", "Eltwise", "x:0", "r:0"), ("a/Relu",), "f32", mean_s)
        return [given, idle, done, ran, brief]

    monkeypatch.setattr(openvino_profile, "layers", counters)
    ran: list[Any] = []
    run: Any = ran.append
    found = profile(None, run, GIVEN, [{"a": 1}, {"b": 2}], 4)  # type: ignore[dict-item]
    kernel, brief = found.kernels
    assert kernel.times_s == pytest.approx((4e-6,))
    assert (brief.times_s, brief.origins) == ((0.0,), ("a/Quantize",))
    assert kernel.origins == ("a/Conv", "a/Relu")  # no other kernel can have computed a/Conv
    assert (kernel.kind, kernel.precision) == ("Eltwise", "fp32")
    assert ran == [{"a": 1}, {"b": 2}] * 3
    assert len(found.walls_s) == 1


def test_what_scales_a_product_is_not_that_product() -> None:
    """A product in 8 bits, whose sums a layer of its own scales: both have its name."""
    given = [
        node("p", "MatMul", "x:0", "p:0", "p"),
        node("s", "Add", "p:0", "s:0", "s"),
        node("r", "Relu", "s:0", "r:0", "r"),
    ]
    found = [
        layer("fc", "x:0", "p", "FullyConnected"),
        layer("scaled", "fc:0", "p/DequantizationSubtract,s", "Eltwise"),
        layer("r", "scaled:0", "r", "Eltwise"),
    ]
    assert origins(given, found)[0] == [("p",), ("s",), ("r",)]
    alone = [layer("sub", "x:0", "p,s,r", "Subgraph")]
    assert origins(given, alone)[0] == [("p", "s", "r")]
    bare = [found[0], layer("scaled", "fc:0", "p/DequantizationSubtract", "Eltwise"), found[2]]
    names, nearby = origins(given, bare)
    assert names[1] == () and "p" in nearby[1]
    biased = [
        layer("c", "x:0", "a/Conv/WithoutBiases", "Convolution"),
        layer("b", "c:0", "a/Conv,a/Relu", "Subgraph"),
    ]
    assert origins(GIVEN, biased)[0] == [("a/Conv",), ("a/Relu",)]


def test_both_directions_of_a_recurrent_layer_are_that_layer() -> None:
    """Each is a kernel, whose name is made up; what joins them has the layer's name."""
    given = [
        node("Transpose_6", "Transpose", "x:0", "Transpose_6:0"),
        node("GRUSequence_7", "GRUSequence", "Transpose_6:0", "GRUSequence_7:0"),
        node("r/GRU", "Transpose", "GRUSequence_7:0", "r/GRU:0", "r/GRU"),
        node("h/Relu", "Relu", "r/GRU:0", "h/Relu:0", "h/Relu"),
    ]
    found = [
        layer("GRUSequence_1", "x:0", "GRUSequence_1", "RNNSeq"),
        layer("GRUSequence_2", "x:0", "GRUSequence_2", "RNNSeq"),
        layer("Concat_3", "GRUSequence_1:0 GRUSequence_2:0", "Concat_3", "Concat"),
        layer("r/GRU", "Concat_3:0", "r/GRU", "Transpose"),
        layer("h/Relu", "r/GRU:0", "h/Relu", "Eltwise"),
    ]
    names, nearby = origins(given, found)
    assert names == [("r/GRU",), ("r/GRU",), (), (), ("h/Relu",)]
    assert nearby[2][0] == nearby[3][0] == "r/GRU"
    single = [layer("GRUSequence_7", "x:0", "GRUSequence_7", "RNNSeq"), *found[3:]]
    assert origins(given, single)[0] == [("r/GRU",), (), ("h/Relu",)]


def test_a_product_with_a_made_up_name_is_that_of_the_einsum_behind_it() -> None:
    """What turns its result has the Einsum's name, and may be part of the next product."""
    given = [
        node("s/Softmax", "Softmax", "x:0", "s/Softmax:0", "s/Softmax"),
        node("e/Einsum", "Einsum", "s/Softmax:0 v:0", "e/Einsum:0", "e/Einsum"),
        node("p/MatMul", "MatMul", "e/Einsum:0", "p/MatMul:0", "p/MatMul"),
    ]
    turned = layer("e/Einsum", "MatMul_3:0", "e/Einsum", "Transpose")
    found = [
        layer("s/Softmax", "x:0", "s/Softmax", "Softmax"),
        layer("MatMul_3", "s/Softmax:0 v:0", "MatMul_3", "MatMul"),
        turned,
        layer("p/MatMul", "e/Einsum:0", "p/MatMul", "FullyConnected"),
    ]
    names, nearby = origins(given, found)
    assert names == [("s/Softmax",), ("e/Einsum",), (), ("p/MatMul",)]
    assert set(nearby[2]) == {"e/Einsum", "p/MatMul"}
    elsewhere = [found[0], layer("MatMul_4", "v:0", "MatMul_4", "MatMul"), found[0], found[3]]
    assert origins(given, elsewhere)[0][1] == ()

"""Layers of OpenVINO have the names of ONNX nodes, and primitives tell whose they are."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.profile import Node
from perfsuite.runtimes.openvino.layers import layer_kernels, weights
from perfsuite.runtimes.openvino.profile import CompiledLayer
from perfsuite.runtimes.shared.denormals import Share

# As the graph is given: a convolution of two layers, a ReLU, and a product.
GRAPH = (
    Node("conv/WithoutBiases", "Convolution", "conv", ("x:0",), ("conv/WithoutBiases:0",)),
    Node("conv", "Add", "conv", ("conv/WithoutBiases:0",), ("conv:0",)),
    Node("relu", "Relu", "relu", ("conv:0",), ("relu:0",)),
    Node("head", "MatMul", "head", ("relu:0",), ("head:0",)),
)


def compiled(
    kind: str = "Convolution",
    primitive: str = "brgconv_avx512_I8",
    merged: tuple[str, ...] = ("conv/WithoutBiases", "conv", "relu"),
    time_s: float | None = 1e-5,
    precision: str = "f32",
) -> list[CompiledLayer]:
    given = Node("x", "Input", "", (), ("x:0",))
    layer = Node("made up", kind, "", ("x:0",), ("made up:0",))
    return [
        CompiledLayer(given, ("x",), "f32", None),
        CompiledLayer(layer, merged, precision, time_s, primitive),
    ]


def test_a_layer_has_the_name_of_its_product() -> None:
    found = layer_kernels(GRAPH, compiled())
    assert found == (
        LayerKernel("conv", "Convolution", "brgconv_avx512_I8", "oneDNN", "AVX-512", "fp32"),
    )
    (other,) = layer_kernels(GRAPH, compiled(merged=("relu", "head")))
    assert other.layer == "head"
    (unknown,) = layer_kernels(GRAPH, compiled(merged=()))
    assert unknown.layer == "made up"


@pytest.mark.parametrize(
    ("kind", "primitive", "library", "level"),
    [
        ("Convolution", "brgconv_avx512_amx_I8", "oneDNN", "AMX"),
        ("Convolution", "ref_any_f32", "oneDNN", ""),
        ("Deconvolution", "jit_avx2_f32", "oneDNN", "AVX2"),
        ("FullyConnected", "gemm_mlas_f32", "MLAS", ""),
        ("FullyConnected", "gemm_acl_f16", "Arm Compute Library", ""),
        ("MatMul", "brgemm_avx512_f32", "oneDNN", "AVX-512"),
        ("MatMul", "unknown_f32", "OpenVINO", ""),
        ("BinaryConvolution", "jit_avx512_BIN", "OpenVINO", "AVX-512"),
        ("ScaledDotProductAttention", "jit_avx512_f32", "OpenVINO", "AVX-512"),
    ],
)
def test_primitives_tell_whose_they_are(
    kind: str, primitive: str, library: str, level: str
) -> None:
    (found,) = layer_kernels(GRAPH, compiled(kind, primitive))
    assert (found.library, found.instruction_set, found.how) == (library, level, "observed")


def test_others_are_no_layers_and_one_without_a_time_is_reported() -> None:
    for kind in ("Pooling", "Reorder", "Eltwise", "Convert", "Softmax"):
        assert layer_kernels(GRAPH, compiled(kind)) == ()
    (found,) = layer_kernels(GRAPH, compiled(time_s=None, precision="i8"))
    assert (found.how, found.precision) == ("reported", "int8")


def test_denormals_in_a_models_constants() -> None:
    import openvino
    from openvino import opset13

    given = opset13.parameter([3], np.float32, name="x")
    small = opset13.constant(np.array([1e-40, 1, 0], np.float32), name="small")
    halves = opset13.constant(np.array([1e-7], np.float16), name="half")
    summed = opset13.add(given, small)
    model = openvino.Model([summed, opset13.convert(halves, "f32")], [given])
    assert list(weights(model)) == [Share("small", 1, 3)]

"""What the inspector tells, of both versions' texts: origins, kinds and types of layers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perfsuite.domain.profile import Node
from perfsuite.runtimes.tensorrt.inspected import built_layers, layer_kernels, nearby, type_word

GRAPH = (
    Node("stem/Conv", "Conv", "stem", ("x",), ("a",)),
    Node("stem/Relu", "Relu", "stem", ("a",), ("b",)),
    Node("head/Gemm", "Gemm", "head", ("b",), ("y",)),
    Node("cat", "Concat", "", ("y",), ("z",)),
)


def layers(*told: dict[str, Any] | str) -> Any:
    return built_layers(json.dumps({"Layers": list(told), "Bindings": ["x", "y"]}), GRAPH)


def test_origins_are_those_of_the_metadata() -> None:
    (one,) = layers(
        {
            "Name": "__myl_ConvRelu_myl0_0",
            "LayerType": "kgen",
            "Metadata": "[ONNX Layer: x_fp16_Cast]\x1e[ONNX Layer: stem/Conv]\x1e"
            "[ONNX Layer: stem/Relu]",
            "Inputs": [{"Name": "x", "Format/Datatype": "Float"}],
            "Outputs": [{"Name": "b", "Format/Datatype": "Half"}],
        }
    )
    assert one.origins == ("stem/Conv", "stem/Relu"), "the cast is none of the given nodes"
    assert (one.kind, one.precision, one.is_product) == ("Conv", "fp32", True)


def test_origins_are_those_of_the_name_where_there_are_no_metadata() -> None:
    fused, foreign, bare = layers(
        {"Name": "stem/Conv + stem/Relu", "LayerType": "CaskConvolution"},
        {"Name": "{ForeignNode[stem/Relu...head/Gemm]}", "LayerType": "Myelin"},
        "head/Gemm",
    )
    assert fused.origins == ("stem/Conv", "stem/Relu")
    assert foreign.origins == ("stem/Relu", "head/Gemm")
    assert (bare.origins, bare.kind) == (("head/Gemm",), "Gemm")


def test_a_copy_is_no_product_though_it_is_made_for_one() -> None:
    (copy,) = layers(
        {"Name": "a copy", "LayerType": "Reformat", "Metadata": "[ONNX Layer: stem/Conv]"}
    )
    assert (copy.kind, copy.is_product) == ("Reformat", False)


@pytest.mark.parametrize(
    ("told", "precision"),
    [
        ({"TacticName": "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32"}, "tf32"),
        ({"TacticName": "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32"}, "int8"),
        ({"TacticName": "sm80_xmma_gemm_f16f16_f16f16_f16_tn_n", "in": "Float"}, "fp16"),
        ({"TacticName": "sm80_xmma_gemm_bf16bf16_bf16f32_f32"}, "bf16"),
        ({"TacticName": "__myl_Fc", "in": "Half"}, "fp16"),
        ({"in": "Thirty-two wide channel vectorized row major Int8 format"}, "int8"),
        ({"in": "Row major linear FP16 format (kLINEAR)"}, "fp16"),
        ({"in": "Row major linear FP32"}, "fp32"),
        ({"DataType": "BFloat16"}, "bf16"),
        ({"Weights": {"Type": "Half", "Count": 5}}, "fp16"),
        ({}, ""),
    ],
)
def test_the_type_is_the_kernels_else_that_of_what_it_reads(
    told: dict[str, Any], precision: str
) -> None:
    tensor = {"Name": "x"}
    if "in" in told:
        tensor["Format/Datatype"] = told.pop("in")
    if "DataType" in told:  # version 11 has a field for each
        tensor |= {"DataType": told.pop("DataType"), "Format": "Row major linear FP32 format"}
    (one,) = layers({"Name": "n", "LayerType": "gemm", "Inputs": [tensor], **told})
    assert one.precision == precision


@pytest.mark.parametrize(
    ("text", "word"),
    [("Int64", "integers"), ("Bool", "integers"), ("FP8", "fp8"), ("INT4", "int4"), ("None", "")],
)
def test_words_of_other_types(text: str, word: str) -> None:
    assert type_word(text) == word


def test_kernels_of_products_and_what_is_near_a_copy() -> None:
    found = layers(
        {"Name": "stem/Conv", "LayerType": "CaskConvolution", "TacticName": "k_f16f16",
         "Inputs": [{"Name": "x"}], "Outputs": [{"Name": "a"}]},
        {"Name": "a copy", "LayerType": "Reformat",
         "Inputs": [{"Name": "a"}], "Outputs": [{"Name": "a'"}]},
        {"Name": "cat", "LayerType": "kgen", "Metadata": "[ONNX Layer: cat]",
         "Inputs": [{"Name": "a'"}], "Outputs": [{"Name": "z"}]},
    )  # fmt: skip
    assert [(one.layer, one.operator, one.kernel, one.precision, one.library)
            for one in layer_kernels(found, "TensorRT")] == [
        ("stem/Conv", "Conv", "k_f16f16", "fp16", "TensorRT")
    ]  # fmt: skip
    near = nearby(found, GRAPH)
    assert near[0] == near[2] == ()
    assert near[1][0] == "stem/Conv", "a product comes first"

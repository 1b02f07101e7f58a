"""What the kernels that ran prove about precision."""

from __future__ import annotations

import pytest

from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest
from perfsuite.errors import SilentFallback
from perfsuite.runtimes.shared.precision import (
    check_precision,
    compute_precisions,
    computed_in_float,
    count,
    is_layer,
    precision_item,
)


def manifest(
    precision: str = "fp32", *, quantized: bool = False, own: tuple[str, ...] = ()
) -> Manifest:
    return Manifest("openvino", "cpu", precision, 1, (), ("y",), quantized, quantized, own)


def test_kernels_are_counted_by_type_and_precision_in_sorted_order() -> None:
    ran = [("Pooling", "f32"), ("Convolution", "u8"), ("Convolution", "I8"), ("Conv", "c10::Half")]
    counted = count(ran)
    assert counted == {"Conv fp16": 1, "Convolution int8": 2, "Pooling fp32": 1}
    assert list(counted) == sorted(counted)


def test_only_convolutions_and_matrix_products_count_as_compute() -> None:
    kernels = {
        "Conv fp32": 2,
        "QLinearConv int8": 3,
        "QGemm int8": 1,
        "mkldnn_convolution fp32": 1,
        "addmm fp32": 1,
        "FullyConnected bf16": 1,
        "Convert bf16": 9,
        "QuantizeLinear fp32": 9,
        "DequantizeLinear int8": 9,
        "QLinearAdd int8": 9,
        "QLinearGlobalAveragePool int8": 9,
        "Pooling fp16": 9,
        "Reorder bf16": 9,
    }
    assert compute_precisions(kernels) == {"bf16": 1, "fp32": 4, "int8": 4}
    said = EvidenceItem(
        "observed", "precision", "compute kernels", "1 in bf16, 4 in fp32, 4 in int8"
    )
    assert precision_item(kernels) == said


@pytest.mark.parametrize(
    ("asked", "kernels"),
    [
        (manifest(), {"Conv fp32": 5, "Reorder bf16": 1}),
        (manifest(), {}),
        (manifest(), {"Relu fp32": 1}),
        (manifest("bf16"), {"Conv bf16": 5, "Conv fp32": 1}),
        (manifest("fp16"), {"MatMul fp16": 1}),
        (manifest(quantized=True), {"Conv fp32": 1, "QLinearConv int8": 5}),
        (manifest("bf16", quantized=True), {"Conv bf16": 1, "Convolution int8": 5}),
    ],
)
def test_what_was_asked_for_passes(asked: Manifest, kernels: dict[str, int]) -> None:
    check_precision(Evidence((), kernels), asked)


@pytest.mark.parametrize(
    ("asked", "kernels", "message"),
    [
        (manifest(), {"Conv fp32": 5, "Conv bf16": 1}, "fp32 was asked for.*1 in bf16, 5 in fp32"),
        (manifest(), {"MatMul fp16": 1}, "fp32 was asked for"),
        (manifest(), {"ConvInteger int8": 1}, "fp32 was asked for"),
        (manifest("bf16"), {"Conv fp32": 5}, "bf16 was asked for"),
        (manifest("fp16"), {}, "fp16 was asked for, compute kernels ran: none"),
        (manifest(quantized=True), {"Conv fp32": 5, "QuantizeLinear int8": 5}, "no int8 compute"),
        (manifest(quantized=True), {}, "the evidence names no convolution or matrix product"),
        (manifest(quantized=True), {"Conv bf16": 1, "Conv int8": 1}, "fp32 was asked for"),
    ],
)
def test_anything_else_is_a_silent_fallback(
    asked: Manifest, kernels: dict[str, int], message: str
) -> None:
    with pytest.raises(SilentFallback, match=message):
        check_precision(Evidence((), kernels), asked)


def test_tf32_is_another_precision_than_fp32() -> None:
    rounded = Evidence(kernels={"cudnn_convolution tf32": 12, "addmm fp32": 3})
    check_precision(rounded, manifest("tf32"))
    with pytest.raises(
        SilentFallback, match="fp32 was asked for, compute kernels ran: 3 in fp32, "
    ):
        check_precision(rounded, manifest("fp32"))
    with pytest.raises(SilentFallback, match="tf32 was asked for"):
        check_precision(Evidence(kernels={"addmm fp32": 3}), manifest("tf32"))


def test_what_a_file_has_by_itself_is_no_fallback() -> None:
    already = {"QLinearConv int8": 3, "Conv fp32": 1}
    check_precision(Evidence(kernels=already), manifest(own=("int8",)))
    check_precision(Evidence(kernels=already), manifest("bf16", own=("int8",)))
    check_precision(Evidence(kernels={"Conv fp32": 3}), manifest(own=("int8",)))
    check_precision(Evidence(kernels={"Conv fp16": 3}), manifest(own=("fp16",)))
    with pytest.raises(SilentFallback, match="fp32 was asked for"):
        check_precision(Evidence(kernels={"Conv bf16": 3}), manifest(own=("int8", "fp16")))
    with pytest.raises(SilentFallback, match="bf16 was asked for"):
        check_precision(Evidence(kernels={"Conv fp32": 3}), manifest("bf16", own=("int8",)))


def test_a_file_of_8_bits_that_was_computed_in_float() -> None:
    in_float, in_int8 = Evidence(kernels={"Conv fp32": 3}), Evidence(kernels={"Conv int8": 1})
    assert computed_in_float(in_float, manifest(own=("int8",)))
    assert not computed_in_float(in_int8, manifest(own=("int8",)))
    assert not computed_in_float(in_float, manifest())
    assert not computed_in_float(Evidence(), manifest(own=("int8",))), "nothing is known"


@pytest.mark.parametrize(
    ("kind", "is_one"),
    [
        ("Conv", True),
        ("NhwcFusedConv", True),
        ("QLinearConv", True),
        ("QGemm", True),
        ("MatMulIntegerToFloat", True),
        ("FullyConnected", True),
        ("BinaryConvolution", True),
        ("LSTMSequence", True),
        ("MultiHeadAttention", True),
        ("Einsum", True),
        ("Convert", False),
        ("QLinearAdd", False),
        ("QLinearSigmoid", False),
        ("DequantizeLinear", False),
        ("QLinearGlobalAveragePool", False),
        ("Reorder", False),
        ("Softmax", False),
    ],
)
def test_convolutions_products_recurrent_layers_and_attentions_are_layers(
    kind: str, is_one: bool
) -> None:
    assert is_layer(kind) is is_one

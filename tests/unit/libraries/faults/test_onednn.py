"""Reference kernels, oneDNN turned off, and convolutions that it did not take."""

from __future__ import annotations

import pytest
from made_up_facts import found, item, layer

from perfsuite.domain.finding import LayerKernel

ON, OFF = item("setting", "mkldnn.enabled", "on"), item("setting", "mkldnn.enabled", "off")
LARGE = ((8, 3, 32, 32), (16, 3, 3, 3))
TAKEN = layer("conv0", "convolution", "brgconv:avx512_core", "oneDNN", shapes=LARGE)


def slow(precision: str = "fp32", *shapes: tuple[int, ...]) -> LayerKernel:
    fields = {"precision": precision, "shapes": shapes}
    return layer("conv1", "convolution", "_slow_conv2d_forward", "MKL", **fields)


@pytest.mark.parametrize("kernel", ["ref:any", "gemm:ref", "ref_any_f32", "simple:any"])
def test_a_reference_kernel_is_a_fault_with_the_layer_and_how_many(kernel: str) -> None:
    reference = layer("up", "deconvolution", kernel, "oneDNN")
    one = found(runtime="pytorch", layers=(TAKEN, reference))["onednn-reference-kernel"]
    assert (one.severity, one.about) == ("fault", "oneDNN")
    assert "1 of 2 layers" in one.message
    assert "up" in one.message and kernel in one.message


@pytest.mark.parametrize(
    ("operator", "kernel"),
    [
        ("reorder", "ref:any"),
        ("pooling", "ref:any"),
        ("ShapeOf", "ref_any_i64"),
        ("Softmax", "ref_any_f32"),
        ("convolution", "jit_uni_dw:avx2"),
        ("MatMul", "gemm:jit"),
        ("Convolution", "brgconv_avx512_f32"),
        ("Convert", "ref_any_f32"),
        ("RNNSeq", "ref_any_f32"),  # whose products are fast ones
    ],
)
def test_what_no_fast_kernel_is_for_is_no_fault(operator: str, kernel: str) -> None:
    assert found(runtime="openvino", layers=(layer("x", operator, kernel, "oneDNN"),)) == {}


def test_products_of_integers_as_of_shapes_need_no_fast_kernel() -> None:
    shapes = layer("x", "MatMul", "ref_any_i32", "oneDNN", precision="i32")
    assert found(runtime="openvino", layers=(shapes,)) == {}


def test_onednn_turned_off_is_told_once_with_the_layers() -> None:
    given = found(OFF, runtime="pytorch", threads=2, layers=(slow("fp32", *LARGE),))
    assert given.keys() == {"onednn-off"}
    assert "1 of 1 layer " in given["onednn-off"].message
    assert "torch.backends.mkldnn" in given["onednn-off"].fix


def test_a_layer_that_it_did_not_take_is_told() -> None:
    layers = (TAKEN, slow("fp32", *LARGE))
    one = found(ON, runtime="pytorch", threads=2, layers=layers)["layer-without-library"]
    assert "did not take 1 of 2 layers" in one.message
    assert "_slow_conv2d_forward" in one.message and "conv1" in one.message
    double = found(ON, runtime="pytorch", threads=2, layers=(slow("fp64", *LARGE),))
    assert "float32" in double["layer-without-library"].fix


@pytest.mark.parametrize(
    ("threads", "shapes"),
    [
        (2, ((1, 3, 32, 32), (8, 3, 3, 3))),  # small
        (1, ((8, 64, 56, 56), (64, 64, 1, 1))),  # 1 x 1 with one thread
        (1, ((1, 64, 56, 56), (64, 32, 1, 1))),  # the same in groups
        (
            2,
            ((1, 16, 4, 96, 96), (16, 16, 3, 3, 3)),
        ),  # three dimensions, of which one is not counted
        (2, ()),  # not known
    ],
)
def test_what_pytorch_computes_itself_by_its_own_rule_is_no_fault(
    threads: int, shapes: tuple[tuple[int, ...], ...]
) -> None:
    assert found(ON, runtime="pytorch", threads=threads, layers=(slow("fp32", *shapes),)) == {}


@pytest.mark.parametrize(
    ("threads", "shapes"),
    [
        (1, ((1, 3, 160, 160), (8, 3, 3, 3))),  # large
        (2, ((1, 8, 8, 8), (8, 1, 3, 3))),  # in groups
        (2, ((1, 3, 8, 8), (8, 3, 5, 5))),  # a large kernel
        (2, ((8, 64, 56, 56), (64, 64, 1, 1))),  # 1 x 1 with two threads
    ],
)
def test_what_its_rule_gives_to_onednn_is_a_fault_elsewhere(
    threads: int, shapes: tuple[tuple[int, ...], ...]
) -> None:
    given = found(ON, runtime="pytorch", threads=threads, layers=(slow("fp32", *shapes),))
    assert given.keys() == {"layer-without-library"}


def test_no_other_engine_and_no_card_is_blamed() -> None:
    assert found(runtime="onnxruntime", layers=(layer("c", "Conv", "", "MLAS"),)) == {}
    assert found(ON, runtime="pytorch", device="cuda", layers=(slow("fp32", *LARGE),)) == {}

"""cuDNN unused or badly set, the memory layout, and a card that is slowed down or shared."""

from __future__ import annotations

from typing import Any

import pytest
from made_up_facts import found, item, layer

ON, OFF = item("setting", "cudnn.enabled", "on"), item("setting", "cudnn.enabled", "off")
TRIED = item("setting", "cudnn.benchmark", "on")
CUDA: dict[str, Any] = {"runtime": "pytorch", "device": "cuda", "precision": "tf32"}
TAKEN = layer("conv1", "cudnn_convolution", "sm80_xmma_fprop_implicit_gemm_tf32f32", "cuDNN")
OTHER = layer("conv2", "_slow_conv2d_forward", "im2col_kernel", "PyTorch")
DEPTHWISE = layer("dw", "_conv_depthwise2d", "conv_depthwise2d_forward_kernel", "PyTorch")


def test_a_sound_card_has_no_findings() -> None:
    assert found(ON, TRIED, layers=(TAKEN, DEPTHWISE), **CUDA) == {}


def test_cudnn_there_and_turned_off() -> None:
    one = found(OFF, TRIED, layers=(OTHER,), **CUDA)["cudnn-not-used"]
    assert "turned off" in one.message and "torch.backends.cudnn.enabled = True" in one.fix


def test_cudnn_there_and_no_convolution_of_it() -> None:
    one = found(ON, TRIED, layers=(OTHER,), **CUDA)["cudnn-not-used"]
    assert "1 convolutions" in one.message and "conv2" in one.message
    assert found(ON, TRIED, layers=(DEPTHWISE,), **CUDA) == {}, "PyTorch has its own for these"


def test_benchmark_mode_off_is_a_caution_where_cudnn_computes() -> None:
    off = item("setting", "cudnn.benchmark", "off")
    assert found(ON, off, layers=(TAKEN,), **CUDA)["cudnn-benchmark-off"].severity == "caution"
    assert found(ON, off, layers=(DEPTHWISE,), **CUDA) == {}


@pytest.mark.parametrize(("capability", "told"), [("sm_90", True), ("sm_80", True),
                                                   ("sm_75", False), ("", False)])  # fmt: skip
def test_tf32_off_is_a_caution_where_the_card_has_it(capability: str, told: bool) -> None:
    items = (ON, TRIED, item("setting", "compute capability", capability))
    given = found(*items, layers=(TAKEN,), **{**CUDA, "precision": "fp32"})
    assert ("tf32-off" in given) == told
    assert found(*items, layers=(TAKEN,), **CUDA) == {}


def test_a_layout_that_cudnn_changes_in_each_call() -> None:
    kernels = item("kernels", "cuDNN", "9 kernels: nchwToNhwcKernel (4), sm80_xmma (5)")
    one = found(ON, TRIED, kernels, layers=(TAKEN,), **CUDA)["cudnn-layout"]
    assert "pytorch-channels-last" in one.fix
    counted = item("layout", "reorders", "4 in a call")
    assert "cudnn-layout" in found(ON, TRIED, counted, layers=(TAKEN,), **CUDA)
    none = item("layout", "reorders", "0 in a call")
    assert "cudnn-layout" not in found(ON, TRIED, none, layers=(TAKEN,), **CUDA)


def test_a_slowed_and_shared_card_is_told_of_the_machine() -> None:
    name = "NVIDIA H100"
    capped, hot = item("throttled", name, "power cap"), item("throttled", name, "heat")
    given = found(capped, hot, item("shared", name, "another process computes there"))
    assert given.keys() == {"gpu-throttled", "gpu-shared"}
    assert given["gpu-throttled"].severity == "fault"
    assert "power cap and heat" in given["gpu-throttled"].message
    assert "another process" in given["gpu-shared"].message
    assert found(capped)["gpu-throttled"].severity == "caution", "its own limit is no damage"

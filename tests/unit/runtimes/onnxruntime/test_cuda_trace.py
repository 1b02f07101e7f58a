"""What a trace of ONNX Runtime tells of a card, by traces as its provider for CUDA writes them."""

from __future__ import annotations

from typing import Any

import pytest

from perfsuite.domain.finding import LayerKernel
from perfsuite.errors import SilentFallback, Unsupported
from perfsuite.runtimes.onnxruntime.cuda_trace import (
    check_fallback,
    launched,
    on_card,
    operators,
    with_kernels,
)
from perfsuite.runtimes.onnxruntime.profile import Event, ran_nodes
from perfsuite.runtimes.shared.kernel_names import operator_precision

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
PICTURE = {"float": [1, 64, 56, 56]}
SHAPE = {"input_type_shape": [{"int64": [4]}], "output_type_shape": [{"int64": []}]}
TF32 = "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32_f32"
FP32 = "void cudnn::cnn::implicit_convolve_sgemm<float, float>(int)"


def node(name: str, kind: str, ts: int, dur: int, index: int, **more: Any) -> Event:
    given = {"input_type_shape": [PICTURE], "output_type_shape": [PICTURE], "provider": CUDA}
    args = {"op_name": kind, "node_index": str(index), **given, **more}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": args}


def kernel(name: str, ts: int, dur: int) -> Event:
    return {"cat": "Kernel", "name": name, "ts": ts, "dur": dur, "args": {"stream": "7"}}


RUN: Event = {"cat": "Session", "name": "model_run", "ts": 100, "dur": 900, "args": {}}
CALL = [
    node("conv", "Conv", 110, 20, 0),
    kernel("nchwToNhwcKernel", 200, 10),
    kernel(TF32, 212, 88),
    node("relu", "Relu", 131, 5, 1),
    kernel("void onnxruntime::cuda::_UnaryElementWise<float>(float)", 290, 30),
    node("side", "Gather", 140, 4, 2, provider=CPU, **SHAPE),
    node("view", "Reshape", 150, 3, 3),
    RUN,
]


def test_a_nodes_time_is_that_of_its_kernels_and_what_overlaps_counts_once() -> None:
    timed = {event["name"]: (event["ts"], event["dur"]) for event in on_card(CALL)}
    assert timed["conv_kernel_time"] == (200, 100)
    assert timed["relu_kernel_time"] == (300, 20), "the kernel before it took until 300"
    assert timed["side_kernel_time"] == (320, 0), "the host had done it meanwhile"
    assert timed["view_kernel_time"] == (320, 0), "it launches nothing"
    assert timed["model_run"] == (100, 900)


def test_without_kernels_in_the_trace_no_times_are_made_up() -> None:
    with pytest.raises(Unsupported, match="as published ones are"):
        on_card([CALL[0], CALL[3], RUN])


def test_the_precision_is_told_by_the_kernels_of_the_last_call() -> None:
    first = [node("conv", "Conv", 10, 5, 0), kernel(FP32, 20, 10)]
    events = [*first, RUN, *CALL]
    nodes, kernels = ran_nodes(events), launched(events)
    found = {one.operator: operator_precision(one) for one in operators(nodes, kernels)}
    assert found == {"Conv": "tf32", "Relu": "float", "Gather": "int64", "Reshape": "float"}


def test_layers_are_told_with_their_kernel_and_whose_it_is() -> None:
    nodes, kernels = ran_nodes(CALL), launched(CALL)
    (one,) = with_kernels((LayerKernel("conv", "Conv", CUDA, CUDA),), nodes, kernels)
    assert (one.library, one.kernel, one.how) == ("cuDNN", TF32, "observed")
    alone = ran_nodes([node("fc", "Gemm", 1, 2, 0)])
    plain = (LayerKernel("fc", "Gemm", CUDA, CUDA),)
    assert with_kernels(plain, alone, {}) == plain, "nothing is made up of a kernel not seen"


def fallen(*events: Event, allowed: tuple[str, ...] = ()) -> None:
    check_fallback(ran_nodes([*CALL, *events]), allowed)


def test_shapes_on_the_processor_are_no_fallback() -> None:
    few = [{"float": [100]}]
    fallen(
        node("slice", "Slice", 1, 1, 4, provider=CPU, input_type_shape=few, output_type_shape=few)
    )


def test_nodes_that_missed_the_card_are_named_unless_their_type_is_allowed() -> None:
    missed = node("boxes/NonMaxSuppression", "NonMaxSuppression", 1, 1, 4, provider=CPU)
    with pytest.raises(SilentFallback, match=r"1 of 5 nodes .*: boxes/NonMaxSuppression \(Non"):
        fallen(missed)
    fallen(missed, allowed=("NonMaxSuppression",))
    small = node("fc", "Gemm", 1, 1, 5, provider=CPU, input_type_shape=[{"float": [1, 4]}])
    with pytest.raises(SilentFallback, match=r"fc \(Gemm\)"):
        fallen(small)

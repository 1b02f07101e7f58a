"""The profile of compiled code, of traces as Kineto writes them on the processor and on a card."""

from __future__ import annotations

from perfsuite.runtimes.pytorch.trace import CALL
from perfsuite.runtimes.torch_compile.kernels import CodeCall, Ran
from perfsuite.runtimes.torch_compile.profile import REGION, kernels, ran_on_card, ran_on_host


class Event:
    """An event of a trace; `at` and `length` are nanoseconds."""

    def __init__(
        self, name: str, at: int, length: int, *, device: str = "CPU", own: int = 0, linked: int = 0
    ) -> None:
        self._told = (name, at, length, f"DeviceType.{device}", own, linked)

    def name(self) -> str:
        return self._told[0]

    def start_ns(self) -> int:
        return self._told[1]

    def duration_ns(self) -> int:
        return self._told[2]

    def device_type(self) -> str:
        return self._told[3]

    def correlation_id(self) -> int:
        return self._told[4]

    def linked_correlation_id(self) -> int:
        return self._told[5]

    def start_thread_id(self) -> int:
        return 1

    def is_user_annotation(self) -> bool:
        return self._told[0].startswith((CALL, REGION))


def call(at: int, relu: str = "graph_0_cpp_fused_relu_0") -> list[Event]:
    return [
        Event(CALL, at, 1000),
        Event("aten::to", at + 5, 20),  # of the inputs, outside of the compiled code
        Event(f"{REGION} None ##", at + 100, 800),
        Event("aten::convolution", at + 110, 200),
        Event("aten::empty", at + 120, 10),
        Event(relu, at + 320, 80),
        Event("aten::detach", at + 950, 10),
    ]


CODE = (
    CodeCall("extern_kernels.convolution:1", ("features.0/conv2d",)),
    CodeCall("cpp_fused_relu_0:2", ("features.1/relu",)),
)


def test_on_the_processor_it_is_what_the_compiled_code_called_itself() -> None:
    calls = list(ran_on_host([*call(5000), *call(7000)]))
    expected = [Ran("aten::convolution", 110, 200), Ran("graph_0_cpp_fused_relu_0", 320, 80)]
    assert calls == [expected, expected]


def test_kernels_have_their_modules_and_what_is_not_in_the_code_has_none() -> None:
    odd = [*call(0), Event("aten::copy_", 500, 40)]
    found = list(kernels(list(ran_on_host([*odd, *call(7000)])), CODE))
    assert [(one.name, one.times_s, one.origins) for one in found] == [
        ("extern_kernels.convolution:1", (2e-7, 2e-7), ("features.0/conv2d",)),
        ("cpp_fused_relu_0:2", (8e-8, 8e-8), ("features.1/relu",)),
        ("aten::copy_", (4e-8, 0.0), ()),
    ]
    assert found[0].starts_s == (1.1e-7, 1.1e-7)
    assert found[2].starts_s == (), "it ran in one call only"


def test_on_a_card_an_operator_takes_as_long_as_its_kernels() -> None:
    host = [
        Event(CALL, 0, 1000),
        Event(f"{REGION} None ##", 100, 800),
        Event("aten::convolution", 110, 100, own=7),
        Event("cudaLaunchKernel", 115, 5, own=21),
        Event("cudaLaunchKernel", 125, 5, own=22),
        Event("triton_poi_fused_relu_0", 220, 20),
        Event("cuLaunchKernel", 225, 5, own=23),
        Event("cudaMemcpyAsync", 960, 5, own=24),
    ]
    card = [
        Event("nchwToNhwcKernel", 300, 20, device="CUDA", own=21),
        Event("sm80_xmma_fprop", 325, 75, device="CUDA", own=22),
        Event("triton_poi_fused_relu_0", 400, 50, device="CUDA", own=23),
        Event("Memcpy DtoH", 970, 5, device="CUDA", own=24),
    ]
    assert list(ran_on_card([*host, *card])) == [
        [Ran("aten::convolution", 300, 100), Ran("triton_poi_fused_relu_0", 400, 50)]
    ]

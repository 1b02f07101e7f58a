"""Kernels of a card belong to the operators that launched them, by a scripted trace."""

from __future__ import annotations

from dataclasses import dataclass

from perfsuite.runtimes.pytorch.trace import (
    CALL,
    NOT_THERE,
    SCOPE,
    OperatorSpan,
    device_spans,
    host_spans,
    launched,
)
from perfsuite.runtimes.shared.kernel_names import Launched


@dataclass
class Event:
    """One event of Kineto, in nanoseconds."""

    what: str
    start: int
    length: int
    number: int = 0
    linked: int = 0
    device: str = "DeviceType.CPU"
    types: tuple[str, ...] = ()
    thread: int = 1

    def name(self) -> str:
        return self.what

    def start_ns(self) -> int:
        return self.start

    def duration_ns(self) -> int:
        return self.length

    def correlation_id(self) -> int:
        return self.number

    def linked_correlation_id(self) -> int:
        return self.linked

    def device_type(self) -> str:
        return self.device

    def dtypes(self) -> tuple[str, ...]:
        return self.types

    def start_thread_id(self) -> int:
        return self.thread

    def is_user_annotation(self) -> bool:
        return self.what.startswith((CALL, SCOPE, "custom"))


def kernel(name: str, start: int, length: int, number: int, linked: int = 0) -> Event:
    return Event(name, start, length, number, linked, "DeviceType.CUDA", thread=0)


def trace() -> list[Event]:
    """Return a call: the input is copied, a convolution runs two kernels, then a ReLU and a view.

    Kernels have names with colons as operators do, run after their operators have returned, and
    the numbers of launches and operators overlap, as in a real trace.
    """
    return [
        Event(CALL, 1000, 9000),
        Event("aten::to", 1100, 400, 1),
        Event("aten::copy_", 1150, 300, 2, types=("float",)),
        Event("cudaMemcpyAsync", 1200, 100, 11, 2),
        kernel("Memcpy HtoD (Pageable -> Device)", 1300, 90, 11, 2),
        Event(f"{SCOPE}", 2000, 7000),
        Event(f"{SCOPE}conv", 2100, 1000),
        Event("aten::conv2d", 2200, 800, 3, types=("float",)),
        Event("aten::cudnn_convolution", 2300, 600, 4, types=("float", "")),
        Event("cudaLaunchKernel", 2400, 50, 3, 4),
        Event("cudaLaunchKernelExC", 2500, 50, 13, 4),
        kernel("void cudnn::nchwToNhwcKernel<float>", 3500, 200, 3, 4),
        kernel("sm90_xmma_fprop_tf32f32_tf32f32_f32", 3800, 1200, 13, 4),
        Event("aten::relu", 3200, 300, 5, types=("float",)),
        Event("cudaLaunchKernel", 3300, 50, 14, 5),
        kernel("void at::native::vectorized_elementwise_kernel<4>", 5000, 500, 14, 5),
        Event("aten::view", 3700, 100, 6),
    ]


def test_an_operator_takes_from_its_first_kernel_to_its_last() -> None:
    (call,) = device_spans(trace())
    assert call == [
        OperatorSpan("to", "", 300e-9, 90e-9, inside=False),
        OperatorSpan("conv2d", "conv", 2500e-9, 1500e-9),
        OperatorSpan("relu", "", 4000e-9, 500e-9),
        OperatorSpan("view", "", 0.0, NOT_THERE),
    ]


def test_marks_are_no_kernels_though_they_show_on_the_card_with_numbers_of_launches() -> None:
    whole = list(device_spans(trace()))
    marks = [
        kernel(CALL, 1300, 4300, 14),
        kernel(f"{SCOPE}conv", 1300, 4000, 3, 4),
        kernel("custom", 1300, 4000, 13, 4),
        Event("custom", 1050, 8000, 13),  # the model's own, round all of it
    ]
    assert list(device_spans([*trace(), *marks])) == whole
    assert launched([*trace(), *marks]) == launched(trace())


def test_on_the_host_the_same_operators_take_their_own_time() -> None:
    (call,) = host_spans(trace())
    assert [(span.name, span.path, span.inside) for span in call] == [
        ("to", "", False),
        ("conv2d", "conv", True),
        ("relu", "", True),
        ("view", "", True),
    ]
    assert call[1].time_s == 800e-9


def test_without_the_launch_the_operator_is_known_by_its_number() -> None:
    events = [event for event in trace() if not event.name().startswith("cuda")]
    assert list(device_spans(events)) == list(device_spans(trace()))


def test_a_kernel_that_nobody_launched_belongs_to_none() -> None:
    events = [*trace(), kernel("void lost<float>", 6000, 100, 99, 98)]
    assert list(device_spans(events)) == list(device_spans(trace()))


def test_a_kernel_is_never_before_its_call() -> None:
    events = trace()
    events[4] = kernel("Memcpy HtoD (Pageable -> Device)", 990, 90, 11, 2)  # clocks differ a little
    (call,) = device_spans(events)
    assert call[0].start_s == 0.0


def test_innermost_operators_have_launched_kernels() -> None:
    assert launched(trace()) == [
        Launched("copy_", "float", ("Memcpy HtoD (Pageable -> Device)",)),
        Launched(
            "cudnn_convolution",
            "float",
            ("void cudnn::nchwToNhwcKernel<float>", "sm90_xmma_fprop_tf32f32_tf32f32_f32"),
            "conv",
        ),
        Launched("relu", "float", ("void at::native::vectorized_elementwise_kernel<4>",)),
    ]


def test_each_call_has_its_own_operators() -> None:
    later = [
        Event(e.what, e.start + 20000, e.length, e.number + 100, e.linked and e.linked + 100)
        if e.device.endswith("CPU")
        else kernel(e.what, e.start + 20000, e.length, e.number + 100, e.linked + 100)
        for e in trace()
    ]
    one, other = device_spans([*trace(), *later])
    assert [span.name for span in one] == [span.name for span in other]
    assert abs(one[1].start_s - other[1].start_s) < 1e-12


def test_the_scripted_events_have_nothing_that_torchs_have_not() -> None:
    import torch

    real = torch._C._autograd._KinetoEvent
    methods = {name for name, made in vars(Event).items() if callable(made) and name[0] != "_"}
    assert methods - set(dir(real)) == set()

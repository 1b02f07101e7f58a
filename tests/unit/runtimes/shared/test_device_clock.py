"""The clock of a device beside the host's, by a device that is a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perfsuite.runtimes.shared.device_clock import timed_by_events


class Device:
    """A card that works off what was launched, and a host whose clock goes on meanwhile."""

    def __init__(self, *calls_ns: int, launch_ns: int = 1000) -> None:
        self.calls_ns, self.launch_ns = list(calls_ns), launch_ns
        self.now_ns = self.free_ns = 0
        self.waited = 0

    def call(self) -> None:
        self.now_ns += self.launch_ns
        self.free_ns = max(self.free_ns, self.now_ns) + self.calls_ns.pop(0)

    def event(self) -> Any:
        return Mark(self)


class Mark:
    """An event: it is reached when all that was launched before has been worked off."""

    def __init__(self, device: Device) -> None:
        self.device, self.at_ns = device, 0

    def record(self) -> None:
        self.at_ns = max(self.device.free_ns, self.device.now_ns)

    def synchronize(self) -> None:
        self.device.now_ns = max(self.device.now_ns, self.at_ns)
        self.device.waited += 1

    def elapsed_time(self, end_event: Mark) -> float:
        return (end_event.at_ns - self.at_ns) / 1e6  # milliseconds, as CUDA does


def test_calls_are_timed_by_the_cards_clock_and_the_hosts() -> None:
    device = Device(2_000_000, 3_000_000, 4_000_000)
    found = timed_by_events([device.call], device.event, 3, 0.0, lambda: device.now_ns)
    assert found.device_s == pytest.approx((2.001e-3, 3.001e-3, 4.001e-3))
    assert found.host_s == pytest.approx(found.device_s)
    assert device.waited == 3, "each call is waited for"


def test_calls_go_on_until_they_have_taken_long_enough_and_rotate() -> None:
    device, order = Device(*[1_000_000] * 10), list[str]()

    def named(name: str) -> Callable[[], None]:
        def call() -> None:
            order.append(name)
            device.call()

        return call

    calls = [named("a"), named("b")]
    found = timed_by_events(calls, device.event, 1, 4.5e-3, lambda: device.now_ns)
    assert order == ["a", "b", "a", "b", "a"]
    assert len(found.device_s) == 5

"""A module whose code changes its inputs, or gives what it keeps, harms nobody else's arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from perfsuite.domain.model import InputSpec  # noqa: E402
from perfsuite.domain.runtime import Manifest, SessionOptions  # noqa: E402
from perfsuite.domain.suite import Measure  # noqa: E402
from perfsuite.measure.latency import time_calls, timed_run  # noqa: E402
from perfsuite.measure.macs import count_module  # noqa: E402
from perfsuite.runtimes.pytorch.runtime import PyTorchSession, run_module  # noqa: E402

MANIFEST = Manifest(
    runtime="pytorch",
    device="cpu",
    precision="fp32",
    batch=1,
    inputs=(InputSpec("x", "float32", (1, 2)),),
    outputs=("output0",),
    lossy=False,
    quantized=False,
)


class Spoiling(nn.Module):
    def forward(self, x: Any) -> Any:
        x -= 1
        return x * 1


class Echoing(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + 1, x


class Keeping(nn.Module):
    """Writes its answers into a tensor of its own, which is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.zeros(1, 2)

    def forward(self, x: Any) -> Any:
        return self.kept.copy_(x + 1)


class Remembering(nn.Module):
    """Writes its answers into a tensor that it has in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = {"last": torch.zeros(1, 2)}

    def forward(self, x: Any) -> Any:
        return self.kept["last"].copy_(x + 1)


class Plain(nn.Module):
    def forward(self, x: Any) -> Any:
        return x + 1


def session(module: nn.Module) -> PyTorchSession:
    return PyTorchSession(module.eval(), MANIFEST, SessionOptions(1, 1))


def array(value: float) -> dict[str, np.ndarray]:
    return {"x": np.full((1, 2), value, np.float32)}


@pytest.mark.parametrize("kind", [Spoiling, Echoing, Keeping, Remembering])
def test_arrays_stay_as_they_were(kind: type[nn.Module]) -> None:
    opened, given, other = session(kind()), array(5), array(7)
    first = [output.copy() for output in opened.run(given)]
    for _ in range(12):  # more than the calls that are watched
        kept = opened.run(given)
        opened.run(other)
        given_again = opened.run(given)
        for one, two, three in zip(first, kept, given_again, strict=True):
            np.testing.assert_array_equal(two, one)
            np.testing.assert_array_equal(three, one)
        assert given["x"].tolist() == [[5.0, 5.0]]
    assert opened.shares_memory
    assert run_module(kind().eval(), given)[0].tolist() == first[0].tolist()
    count_module(kind(), given)
    assert given["x"].tolist() == [[5.0, 5.0]]


def test_a_module_that_shares_nothing_is_called_on_the_arrays_themselves() -> None:
    opened, given = session(Plain()), array(5)
    for _ in range(9):
        opened.run(given)
    assert not opened.shares_memory
    run, give = timed_run(opened)
    assert run == opened.run
    assert give(given) is given


def test_timed_calls_get_copies_that_are_not_timed() -> None:
    opened, inputs = session(Spoiling()), [array(5), array(7)]
    seen = []
    in_place = opened.run_in_place

    def recorded(given: dict[str, np.ndarray]) -> Any:
        seen.append(float(given["x"][0, 0]))
        return in_place(given)

    opened.run_in_place = recorded  # type: ignore[method-assign]
    time_calls(opened, inputs, Measure(calls=6, seconds=0.0, warmup_seconds=0.0))
    assert set(seen) == {5.0, 7.0}
    run, give = timed_run(opened)
    assert run == recorded
    assert give(inputs[0])["x"] is not inputs[0]["x"]

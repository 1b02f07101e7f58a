"""Calls that are captured once and replayed, by a capture that runs on the processor."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions
from perfsuite.errors import Unavailable, Unsupported
from perfsuite.runtimes.pytorch import cuda_graphs
from perfsuite.runtimes.pytorch.cuda_graphs import (
    Graphed,
    GraphedSession,
    PyTorchCudaGraphs,
    _kernels,
    first_of,
    same_kernels,
)

SPEC = (InputSpec("x", "float32", ("batch", 2)),)
MANIFEST = Manifest("pytorch-cuda-graphs", "cpu", "fp32", 1, SPEC, ("y",), False, False)


class Capture:
    """Captures calls as CUDA does: what is replayed reads and writes the same memory each time."""

    def __init__(self) -> None:
        self.captures = self.replays = 0

    def __call__(self, call: Any, tensors: Any, who: str) -> tuple[list[Any], Any, Any]:
        self.captures += 1
        bound = [one.clone() for one in tensors]
        answer = call(bound).clone()

        def replay() -> None:
            self.replays += 1
            answer.copy_(call(bound))

        return bound, replay, answer


def test_a_call_is_captured_once_for_each_shape_and_then_replayed() -> None:
    import torch

    capture = Capture()
    graphed = Graphed(lambda tensors: tensors[0] * 2, "Net", capture)
    for batch, value in ((1, 1.0), (1, 3.0), (4, 5.0), (1, 7.0)):
        answer = graphed([torch.full((batch, 2), value)])
        assert answer.shape == (batch, 2)
        assert bool((answer == 2 * value).all())
    assert (capture.captures, capture.replays) == (2, 4)


def test_of_a_capture_that_failed_the_first_reason_is_told() -> None:
    try:
        try:
            raise RuntimeError("cannot copy to the host")
        finally:
            raise RuntimeError("the capture is not valid")
    except RuntimeError as error:
        assert str(first_of(error)) == "cannot copy to the host"


def test_a_session_replays_and_has_no_breakdown(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(cuda_graphs, "captured", Capture())
    session = GraphedSession(torch.nn.Tanh(), MANIFEST, SessionOptions(1, 1))
    pictures = np.ones((1, 2), np.float32)
    for value in range(10):  # the first ones are watched for shared memory
        assert np.allclose(session.run({"x": pictures * value})[0], np.tanh(value))
    with pytest.raises(Unsupported, match="name no module; profile the same model on pytorch"):
        session.profile([{"x": pictures}], 1)


def event(name: str, device: str) -> Any:
    return SimpleNamespace(
        name=lambda: name,
        device_type=lambda: f"DeviceType.{device}",
        is_user_annotation=lambda: name.startswith("perfsuite"),
    )


def test_a_replay_is_held_against_the_kernels_of_a_plain_call() -> None:
    ran = [event("gemm", "CUDA"), event("gemm", "CUDA"), event("relu", "CUDA")]
    others = [
        event("Memcpy HtoD", "CUDA"),
        event("perfsuite scope 0", "CUDA"),  # a mark, drawn round the kernels in it
        event("aten::relu", "CPU"),
    ]
    eager = _kernels([*ran, *others])
    assert eager == Counter(gemm=2, relu=1)
    assert same_kernels(eager, eager).value == "3 kernels replayed, 3 of the 3 of a plain call"
    other = Counter(gemm=2, fused=1)
    assert same_kernels(eager, other).value == "3 kernels replayed, 2 of the 3 of a plain call"


def test_it_is_for_cards() -> None:
    assert PyTorchCudaGraphs().devices == ("cuda",)
    try:
        PyTorchCudaGraphs().require("cuda", "fp32")
    except Unavailable as error:
        assert str(error).startswith("cuda: ")

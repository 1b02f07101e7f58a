"""Eager PyTorch on a card, its kernels launched together: a call is captured once, then replayed.

Launching a kernel costs the host some microseconds, and nets of many small ones wait for that. A
CUDA graph holds the launches of a whole call, with the addresses that they read and write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from perfsuite.domain.profile import Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest, SessionOptions
from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported
from perfsuite.export.calls import Caller
from perfsuite.runtimes.pytorch.runtime import PyTorch, PyTorchSession
from perfsuite.runtimes.pytorch.trace import is_on_card
from perfsuite.runtimes.shared.base import trimmed
from perfsuite.runtimes.shared.cuda_driver import CUDA

if TYPE_CHECKING:
    import torch
    from torch import nn

WARM_UP = 3  # calls before the capture, in which libraries choose kernels and take memory
TITLE = "CUDA graph"
_NO_KERNELS = ("Memset", "Memcpy")


class PyTorchCudaGraphs(PyTorch):
    """Runs the module, all kernels of a call launched at once; needs a card and a torch for it."""

    name: ClassVar[str] = "pytorch-cuda-graphs"
    devices: ClassVar[tuple[str, ...]] = (CUDA,)

    def _session(
        self, module: nn.Module, manifest: Manifest, options: SessionOptions, *, last: bool
    ) -> GraphedSession:
        return GraphedSession(module, manifest, options, channels_last=last)


class GraphedSession(PyTorchSession):
    """A module whose calls are captured for each shape of its inputs, and replayed."""

    def __init__(
        self,
        module: nn.Module,
        manifest: Manifest,
        options: SessionOptions,
        *,
        channels_last: bool = False,
    ) -> None:
        super().__init__(module, manifest, options, channels_last=channels_last)
        self._eager: Any = self._call
        self._call = Graphed(self._eager, type(module).__name__, captured)

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Raise `Unsupported`: what is replayed names neither operators nor modules."""
        raise Unsupported(
            f"{PyTorchCudaGraphs.name}: kernels that are replayed name no module; profile the same "
            f"model on {PyTorch.name}, which launches the same kernels one by one"
        )

    def close(self) -> None:
        """Free the module and the graphs."""
        super().close()
        self._eager = self._call = None

    def _read(self) -> Evidence:
        """Return what a plain call shows, and whether a replayed one ran the same kernels."""
        if self._last is None:
            return super()._read()
        replayed, self._call = self._call, self._eager
        try:
            found = super()._read()
            eager = _kernels(self._trace(self._last))
        finally:
            self._call = replayed
        item = same_kernels(eager, _kernels(self._trace(self._last)))
        return Evidence((*found.items, item), found.kernels, found.layers)


class Graphed:
    """A call that `capture` makes ready for each shape and type of its tensors, once."""

    def __init__(self, call: Caller, who: str, capture: Any) -> None:
        self._call, self._who, self._capture = call, who, capture
        self._captured: dict[tuple[object, ...], tuple[list[Any], Any, Any]] = {}

    def __call__(self, tensors: Sequence[torch.Tensor]) -> Any:
        """Return the answer, in memory that the next call overwrites."""
        key = tuple((tuple(one.shape), one.dtype, one.stride()) for one in tensors)
        if key not in self._captured:
            self._captured[key] = self._capture(self._call, tensors, self._who)
        bound, replay, answer = self._captured[key]
        for own, given in zip(bound, tensors, strict=True):
            own.copy_(given)
        replay()
        return answer


def captured(call: Caller, tensors: Sequence[torch.Tensor], who: str) -> tuple[list[Any], Any, Any]:
    """Return tensors of the graph's own to copy inputs to, what replays it, and its answer.

    Raises `Unsupported` for a call that cannot be captured.
    """
    import torch

    bound = [one.clone() for one in tensors]
    graph = torch.cuda.CUDAGraph()
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            call(bound)
    torch.cuda.current_stream().wait_stream(aside)
    try:
        with torch.cuda.graph(graph):
            answer = call(bound)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise Unsupported(
            f"{who} cannot be captured as a CUDA graph, as its code waits for what the card has "
            f"computed (a detector's boxes, for example) or copies to the host: "
            f"{trimmed(str(first_of(error)))}; take {PyTorch.name}"
        ) from error
    return bound, graph.replay, answer


def first_of(error: BaseException) -> BaseException:
    """Return the error that others followed: ending a capture that has failed fails, too."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def same_kernels(eager: Counter[str], replayed: Counter[str]) -> EvidenceItem:
    """Return how many kernels a replayed call ran, and how many of them an eager call runs, too."""
    common = (eager & replayed).total()
    text = f"{replayed.total()} kernels replayed, {common} of the {eager.total()} of a plain call"
    return EvidenceItem("observed", "engine", TITLE, text)


def _kernels(events: Iterable[Any]) -> Counter[str]:
    """Return how often each kernel ran on the card, without copies, fills and marks."""
    return Counter(
        event.name()
        for event in events
        if is_on_card(event) and not event.name().startswith(_NO_KERNELS)
    )

"""Engines: what they take, what they build, and an opened artifact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

import msgspec

from perfsuite.domain.model import InputSpec
from perfsuite.domain.profile import Profile
from perfsuite.domain.record import Evidence
from perfsuite.domain.task import Inputs, Outputs

if TYPE_CHECKING:
    from torch import nn


class Manifest(msgspec.Struct, frozen=True):
    """`artifact.json`: what an artifact is. Nothing in it names this machine."""

    runtime: str
    device: str
    precision: str
    batch: int
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    lossy: bool  # a pass changed the answers on purpose: judged by accuracy, not by parity
    quantized: bool  # the graph carries Q/DQ pairs


@dataclass(frozen=True)
class Variant:
    """What a recipe made, ready for an engine.

    `graph` is an ONNX file with a dynamic `batch` axis (None for an engine that takes modules), or
    one of fixed shapes, if it is only to be timed;
    `rebuild` gives the torch module in evaluation mode (None for a model that is an ONNX file).
    `pieces` is a folder with the modules of its stages as graphs, for a model that does not export
    whole.
    """

    graph: Path | None
    rebuild: Callable[[], nn.Module] | None
    quantized: bool
    pieces: Path | None = None


@dataclass(frozen=True)
class SessionOptions:
    """How to open an artifact. `inspect` turns on whatever an engine can say about itself.

    `batch` is 0 for a piece of a split model whose first dimension counts something else than
    samples, as many as there are in each call.
    `rebuild` is for engines that take modules, and for split models; the others must not call it.
    `spans` are for the same: the dotted paths of methods that are to be told apart in a profile, as
    modules are.
    """

    batch: int
    threads: int
    inspect: bool = False
    rebuild: Callable[[], nn.Module] | None = None
    spans: tuple[str, ...] = ()  # such as "rpn.filter_proposals"; paths of modules do no harm


class Session(Protocol):
    """An opened artifact; a context manager.

    `clock` gives nanoseconds and replaces `time.perf_counter_ns` while this session is measured;
    None means the real clock. Only a scripted engine has one of its own.
    """

    clock: Callable[[], int] | None

    def run(self, inputs: Inputs) -> Outputs:
        """Return host arrays, synchronised, for host arrays."""
        ...

    def evidence(self) -> Evidence:
        """Return what the engine says that it ran; complete only if opened with `inspect`."""
        ...

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return where the time of `calls` calls went, which rotate over `inputs`.

        Only of a session opened with `inspect`. Raises `Unsupported` where the engine cannot.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Runtime(Protocol):
    """An engine. Its module imports the engine's package inside these functions only.

    Three more methods are optional:

    - `quantized_graphs(device: str) -> QuantizedGraphs | None` says how the engine wants quantized
      graphs (explicit Q/DQ pairs) to be written for the device. An engine that returns None, or
      lacks the method, runs none.
    - `identify(device: str) -> DeviceIdentity` says which processor or card the device is. Without
      it "cpu" is the processor, and any other device stays unnamed.
    - `roofline(device: str, precision: str) -> Roofline` measures what a device that is not the
      processor can reach at most. Without it no roofline is told for such a device.
    """

    name: ClassVar[str]
    takes: ClassVar[str]  # "module", "graph", or "nothing" (a scripted engine)
    devices: ClassVar[tuple[str, ...]]
    precisions: ClassVar[tuple[str, ...]]

    def probe(self) -> dict[str, str]:
        """Return library name to version; raise `Unavailable` with what to install."""
        ...

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Write the engine's files into `folder`; raise `BuildError` or `Unsupported`."""
        ...

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> Session:
        """Return a session on what `build` wrote."""
        ...

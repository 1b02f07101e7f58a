"""Runtimes, the variants that they take, the artifacts that they build, and opened artifacts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

import msgspec

from perfsuite.domain.model import InputSpec
from perfsuite.domain.profile import Profile
from perfsuite.domain.record import Evidence
from perfsuite.domain.shapes import InputShapes
from perfsuite.domain.task import Inputs, Outputs

if TYPE_CHECKING:
    from torch import nn


MANIFEST = "artifact.json"  # in the folder of each artifact


class Manifest(msgspec.Struct, frozen=True):
    """The content of `artifact.json`, which describes an artifact without naming the machine."""

    runtime: str
    device: str
    precision: str
    batch: int
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    lossy: bool  # a pass changed the answers, so it is judged by accuracy, not by parity
    quantized: bool  # a pass has written Q/DQ pairs
    own_precisions: tuple[str, ...] = ()  # below fp32, to which the graph rounds values unasked
    not_finite: tuple[str, ...] = ()  # outputs in which the model itself gives NaN or infinities
    single: bool = False  # a call takes one sample, though the first dimension is open
    # Whether no two products of bytes overflow 16 bits, so that x86 processors without VNNI answer
    # alike; None where nothing is rounded to 8 bits, or it is not known.
    portable: bool | None = None

    @property
    def rounds_to_8_bits(self) -> bool:
        """Return whether values are rounded to 8 bits, by a pass or by the given graph."""
        return self.quantized or "int8" in self.own_precisions


@dataclass(frozen=True)
class Variant:
    """The result of a recipe, from which a runtime builds an artifact.

    `graph` is an ONNX file with a dynamic `batch` axis, or with fixed shapes if it is only to be
    timed; None for a runtime that takes modules. `rebuild` returns the torch module in evaluation
    mode; None for a model that is an ONNX file. `pieces` is a folder with the modules of the stages
    as graphs, for a model that does not export whole. `example` holds the inputs of one of the
    calls that will be timed, and `shapes` those that inputs are known to have in calls, for engines
    that are built for their sizes; empty where nobody knows.
    """

    graph: Path | None
    rebuild: Callable[[], nn.Module] | None
    quantized: bool
    pieces: Path | None = None
    example: Inputs | None = None
    shapes: InputShapes = field(default_factory=dict)


@dataclass(frozen=True)
class SessionOptions:
    """How to open an artifact. With `inspect` the engine reports as much as it can.

    `batch` is 0 for a piece of a split model whose first dimension does not count samples and
    differs between calls. `rebuild` is for runtimes that take modules, and for split models; others
    must not call it. So are `spans`, the paths of methods that are parts of a profile as modules
    are. The last two are turned round to find out what they are worth: whether the engine may
    optimize the graph, and whether pictures are laid out channels last, None for as the runtime
    does. An engine without such a choice does not read them.
    """

    batch: int
    threads: int
    inspect: bool = False
    rebuild: Callable[[], nn.Module] | None = None
    spans: tuple[str, ...] = ()  # such as "rpn.filter_proposals"; paths of modules are ignored
    optimized: bool = True
    channels_last: bool | None = None


class BoundTimes(msgspec.Struct, frozen=True):
    """The seconds of calls whose inputs and outputs stay on the device, by two clocks.

    `device_s` is what the device's own clock tells from the begin to the end of each call, `host_s`
    the host's for the same call, until the device has finished.
    """

    device_s: tuple[float, ...]
    host_s: tuple[float, ...]


class Session(Protocol):
    """An opened artifact; a context manager.

    `clock` returns nanoseconds and replaces `time.perf_counter_ns` while this session is measured;
    None means the real clock. Only a scripted engine has its own.

    One more method is optional, for a device with memory and a clock of its own:
    `time_bound(inputs: Sequence[Inputs], calls: int, seconds: float) -> BoundTimes | None` times at
    least `calls` calls that take `seconds` together, with inputs that are on the device already.
    None means that the session's device is none of these.

    A session whose module's code may change its inputs in place sets `shares_memory` once a call
    has shown that: it then has `run_in_place`, which is `run` for inputs of which there are copies.
    """

    clock: Callable[[], int] | None

    def run(self, inputs: Inputs) -> Outputs:
        """Return the outputs as host arrays, after the device has finished."""
        ...

    def evidence(self) -> Evidence:
        """Return the engine's evidence of what ran; it is complete only with `inspect`."""
        ...

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return the profile of `calls` calls that rotate over `inputs`.

        The session must have been opened with `inspect`. Raises `Unsupported` if the engine cannot
        be profiled.
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
    """An engine that runs nets. Its module imports the engine's package inside these methods only.

    Optional are four class variables: `builds_for`, those of its devices for which it builds on
    any machine and that it never runs, such as a kind of cards; `kernels`, the kinds of kernels
    that it has and not every engine, such as ("binary",), by which it takes graphs with such
    operators as they are; and `artifact_version` and `quantized_version`, whole numbers, 1 without
    them, to be raised when `build` writes something else of the same graph, or of a quantized one
    alone, so that artifacts of before are not measured. So are five more methods:

    - `quantized_graphs(device: str) -> QuantizedGraphs | None` says how the engine wants quantized
      graphs (explicit Q/DQ pairs) to be written for the device. An engine that returns None, or
      lacks the method, runs none.
    - `identify(device: str) -> DeviceIdentity` says which processor or card the device is. Without
      it "cpu" is the processor, and any other device has no name.
    - `require(device: str, precision: str) -> None` raises `Unavailable`, with what to install or
      change, where this machine lacks the device, and `Unsupported` for a precision that only
      another device has.
    - `roofline(device: str, precision: str) -> Roofline` measures the peak performance of a device
      that is not the processor. Without it there is no roofline for such a device.
    - `describe(folder: Path) -> Evidence` says what an artifact was built of that is not run; an
      engine with `builds_for` has it.
    """

    name: ClassVar[str]
    takes: ClassVar[str]  # "module", "graph", or "nothing" (a scripted engine)
    devices: ClassVar[tuple[str, ...]]
    precisions: ClassVar[tuple[str, ...]]

    def probe(self) -> dict[str, str]:
        """Return the versions of libraries by name; raise `Unavailable`, with what to install."""
        ...

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Write the engine's files into `folder`; raise `BuildError` or `Unsupported`."""
        ...

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> Session:
        """Return a session on the files that `build` wrote."""
        ...

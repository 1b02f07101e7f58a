"""Passes, recipes and what they make.

A *model pass* changes a torch module: `fit` finds out how (it may train), `rebuild` does it again
in a fresh process from plain data. A *graph pass* turns one ONNX graph into another.
Both are frozen `msgspec.Struct`s whose fields are their configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec
import numpy as np

from perfsuite.domain.device import DeviceIdentity, QuantizedGraphs
from perfsuite.domain.task import Inputs, TrainingSet

if TYPE_CHECKING:
    import onnx
    from torch import nn


class Edits(msgspec.Struct, frozen=True):
    """What a model pass did, as plain data: JSON values, and tensors by name.

    With `data["left"]`, layers to reasons, a pass may tell what it left alone; reports show it.
    """

    data: dict[str, Any] = {}
    tensors: dict[str, np.ndarray] = {}


class Target(msgspec.Struct, frozen=True):
    """Where a variant is to run: all that a pass may let its choices depend on.

    A pass that listens to the clock of its context owes its result to all of these, and names
    them all in `resolve`.
    """

    runtime: str
    device: str
    features: tuple[str, ...] = ()  # of the processor or card, such as "avx512_vnni"
    batch: int = 1  # samples in a call
    threads: int = 0  # that a call may use; 0: not known
    precision: str = "fp32"
    libraries: tuple[str, ...] = ()  # the engine's, such as "onnxruntime 1.32.0"
    quantized: QuantizedGraphs | None = None  # how to write them; None: the engine runs none
    identity: DeviceIdentity | None = None  # the processor or the card, whose features these are


class LatencyOf(Protocol):
    """The clock of the engine that a variant is to run on."""

    def __call__(
        self, candidates: Sequence[tuple[nn.Module, Inputs]], cold_bytes: int = 0
    ) -> tuple[float, ...]:
        """Return the seconds that a call of each candidate takes, in their order.

        A candidate is a module, whole net or single layer, and the arrays of a call in the order
        in which its `forward` takes them. All run as they would be shipped, in evaluation mode, on
        the target's engine, device, precision and threads; what a call costs on its own is
        included. Candidates of one list take turns, so they may be compared with each other more
        closely than with those of another list. Modules are left as they were.

        Before each call `cold_bytes` bytes of other memory are read. A layer that is timed alone
        finds its weights in the processor's cache; in its net those of the other layers have
        passed through since. Give the bytes of the net's weights for parts of a net, 0 for whole
        nets.

        Raises `Unsupported` or `BuildError` for a candidate that does not export or that the
        engine refuses, with its place in the list.
        """
        ...


@dataclass(frozen=True)
class PassContext:
    """All that a pass may know about its surroundings.

    `inputs` are those of one call on the target: `target.batch` samples. `progress(done, total)`
    may be called as often as one likes. `latency_s` takes time: tens of milliseconds a candidate,
    and more for large ones.
    """

    inputs: Inputs
    calibration: Callable[[int], Iterator[Inputs]]
    train: Callable[[], TrainingSet]
    target: Target
    checkpoint: Path
    progress: Callable[[int, int], None]
    latency_s: LatencyOf


class Pass(Protocol):
    """What both kinds share.

    A pass whose result needs kernels that only some engines have, and that no runtime tells of,
    may name these engines in a class variable `runtimes`; without it, or where it is empty, the
    pass is for every engine.
    """

    version: ClassVar[int]  # raise it when the pass gives another result: cached ones are redone

    def resolve(self, target: Target) -> str:
        """Return, as text, all that the result owes to the target: it is part of cache keys.

        It is asked before anything is trained or exported. Raises `Unsupported`, with the reason,
        for a target that the result cannot run on.
        """
        ...


class ModelPass(Pass, Protocol):
    """A pass on a torch module.

    With a field `runtime` a suite may name the runtime whose clock and target it is given, so that
    one net, fitted and trained once, serves several; without one, or where it is empty, they are
    those of the cell.
    """

    def fit(self, model: nn.Module, ctx: PassContext) -> Edits:
        """Return the edits that `rebuild` needs; `model` may be changed on the way.

        They are the same each time for the same model, samples and clock. Raises `Unsupported`,
        with the reason, for a model that the pass is not for, and where nothing of it can be
        changed or pays; `ConfigError` for fields that this model contradicts, such as the path of a
        layer that it has not; `BuildError` where a target is out of reach, or weights or a training
        are not finite.
        """
        ...

    def rebuild(self, model: nn.Module, edits: Edits) -> nn.Module:
        """Return `model`, freshly built, with the edits applied.

        All that is needed is in `edits`, which stay as they are; the process is another one than
        that of `fit`. Raises `BuildError`, or what torch raises, for edits of another model or that
        lack a tensor; never `Unsupported`, which `fit` would have raised.
        """
        ...


class GraphPass(Pass, Protocol):
    """A pass on an ONNX graph."""

    def apply(self, graph: onnx.ModelProto, ctx: PassContext) -> onnx.ModelProto:
        """Return the transformed graph; `graph` itself stays as it is."""
        ...


class PassUse(msgspec.Struct, frozen=True):
    """One pass in a recipe as configured: its name (or `file.py:Name`) and its fields."""

    use: str
    fields: dict[str, Any] = {}


class ResolvedRecipe(msgspec.Struct, frozen=True):
    """A named list of passes, model passes first, as a run keeps it. `fp32` is the empty one.

    All its passes are its own: what it has from another recipe of its suite is written out.
    `workloads` and `runtimes` limit it to those whose names match one of the patterns; empty: all
    of the suite.
    """

    name: str
    passes: tuple[PassUse, ...] = ()
    workloads: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()


FP32 = ResolvedRecipe("fp32")

# The field `runtime` of a pass was called so in suites, journals and cache keys of before.
OLD_RUNTIME_FIELD = "engine"

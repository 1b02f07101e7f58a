"""Passes, recipes, and the edits of model passes.

A *model pass* changes a torch module: `fit` determines the changes (it may train), and `rebuild`
applies them in another process, from plain data. A *graph pass* turns one ONNX graph into another.
Both are frozen `msgspec.Struct`s whose fields are their configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

import msgspec
import numpy as np
from msgspec import Meta

from perfsuite.domain.device import PROCESSOR, DeviceIdentity, QuantizedGraphs
from perfsuite.domain.task import Inputs, Predict, TrainingSet
from perfsuite.errors import Unsupported

if TYPE_CHECKING:
    import onnx
    from torch import nn


class Edits(msgspec.Struct, frozen=True):
    """The changes of a model pass as plain data: JSON values, and tensors by name.

    Reports show what these keys of `data` have, if they are there:

    - `"left"` maps layers that the pass did not change to the reasons.
    - `"replaced"` says that the model is now another: `{"by": its name, "stages": {name: prefixes
      of modules}, "labels": [...]}`. Without stages, those of the model before count that this one
      has, too; labels, such as "untrained", are shown with every result.
    - `"labels"` are such labels of a net that stays the model's.
    """

    data: dict[str, Any] = {}
    tensors: dict[str, np.ndarray] = {}


class Target(msgspec.Struct, frozen=True):
    """Where a variant is to run: all that the choices of a pass may depend on.

    The result of a pass that uses its context's `latency_s` depends on all of these, and its
    `resolve` must return them all.
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
    """Measures times on the engine that a variant is to run on."""

    def __call__(
        self, candidates: Sequence[tuple[nn.Module, Inputs]], cold_bytes: int = 0
    ) -> tuple[float, ...]:
        """Return the seconds that a call of each candidate takes, in their order.

        A candidate is a module, a whole net or a single layer, and the arrays of a call in the
        order of `forward`'s arguments. All run as they would be shipped, in evaluation mode, on the
        target's engine, device, precision and threads; the cost of a call itself is included.
        Candidates of one list take turns, so their times are more comparable with each other than
        with those of another list. Modules are not changed.

        Before each call `cold_bytes` bytes of other memory are read. The weights of a layer that is
        timed alone would stay in the processor's cache, while in a net the weights of the other
        layers displace them. Give the bytes of the net's weights for parts of a net, 0 for whole
        nets.

        Raises `Unsupported` or `BuildError` for a candidate that does not export or that the
        engine refuses, with its place in the list.
        """
        ...


def _no_validation(predict: Predict) -> np.ndarray:
    raise Unsupported("there are no validation samples here")


def _no_metric(rows: np.ndarray) -> float:
    raise Unsupported("there is no metric here")


def _said_to_nobody(text: str) -> None:
    """Take a text that nobody watches for."""


@dataclass(frozen=True)
class PassContext:
    """All that a pass may know about its surroundings.

    `inputs` are those of one call on the target: `target.batch` samples. `progress(done, total)`
    may be called at any time, and `say(text)` with what whoever watches should know before work
    that takes long. `latency_s` takes tens of milliseconds for each candidate, and more
    for large ones. Files whose names begin with that of `checkpoint` are kept if a pass is killed,
    and removed once its result is stored.

    `original` builds the workload's net without any pass, which is the best teacher; it is None
    where the pass is the first, and is given that net itself.

    What a pass chooses by its answers it chooses on validation samples, never on those for testing:
    `validation(predict)` gives their rows, and `metric` the main metric of such rows. Both raise
    `Unsupported` for a task without them.
    """

    inputs: Inputs
    calibration: Callable[[int], Iterator[Inputs]]
    train: Callable[[], TrainingSet]
    target: Target
    checkpoint: Path
    progress: Callable[[int, int], None]
    latency_s: LatencyOf
    original: Callable[[], nn.Module] | None = None
    validation: Callable[[Predict], np.ndarray] = _no_validation
    metric: Callable[[np.ndarray], float] = _no_metric
    say: Callable[[str], None] = _said_to_nobody


class Pass(Protocol):
    """What both kinds of passes have in common.

    A pass whose result needs kernels that only some engines have, and that no runtime tells of,
    may name these engines in a class variable `runtimes`; without it, or where it is empty, the
    pass is for every engine. One that asks for more than a few calibration samples may say how many
    in a property `calibrates`.

    One whose result other engines compute too, but in float, names the kinds of kernels that make
    it fast in `kernels`, such as ("binary",): on an engine that does not list them among its own, a
    cell is simulated, and its time is never taken for that of real kernels.

    Two more class variables say where in a recipe it may stand, and are checked when a suite is
    read. `once = True`: it makes no sense a second time, such as rounding what is rounded. Of a
    model pass, `replaces = True`: it puts another net in the place of the model, so that what
    passes before it made would be lost, and it must be the first.

    A pass that can be limited to parts of a model has a field `layers`, of patterns, and a method
    `changeable(model or graph, ctx)` that returns a `Changeable`: then a sensitivity can be asked
    for. Fields that came after `version` are named in a class variable `added`, and left out of
    cache keys while they have their defaults.

    A field that a task decides, such as a default that needs training samples, is decided by the
    method `settled(*, trains: bool)`, before keys are made: it returns the pass with nothing left
    open, and a label for the cell, '' without one. A class variable `profiled_with` holds the
    fields of a pass that is profiled without a suite, where it has no defaults for all of them.
    """

    version: ClassVar[int]  # to be raised when the result changes, so that cached ones are not used

    def resolve(self, target: Target) -> str:
        """Return, as text, all of the target that the result depends on, as part of cache keys.

        It is called before anything is trained or exported. Raises `Unsupported`, with the reason,
        for a target that the result cannot run on.
        """
        ...


class ModelPass(Pass, Protocol):
    """A pass on a torch module.

    In a field `runtime` of the pass, a suite may name the runtime whose `target` and `latency_s` it
    gets, so that a net is fitted and trained once for several runtimes. Without the field, or if it
    is empty, they are those of the cell's runtime. A field `student` may name a net of a user,
    `file.py:name`: its path is taken from the suite's folder, and its source is part of keys.
    """

    def fit(self, model: nn.Module, ctx: PassContext) -> Edits:
        """Return the edits that `rebuild` needs; `model` may be changed on the way.

        They must be the same each time for the same model, samples and measured times. Raises
        `Unsupported`, with the reason, for a model that the pass is not for, and if nothing of it
        can be changed or is worth changing; `ConfigError` for fields that do not fit the model,
        such as the path of a missing layer; `BuildError` if a goal is out of reach, or if weights
        or a training are not finite.
        """
        ...

    def rebuild(self, model: nn.Module, edits: Edits) -> nn.Module:
        """Return `model`, freshly built, with the edits applied.

        All that it needs is in `edits`, which must not be changed; it runs in another process than
        `fit`. Raises `BuildError`, or torch's error, for edits of another model or without one of
        their tensors; never `Unsupported`, which `fit` raises.
        """
        ...


class GraphPass(Pass, Protocol):
    """A pass on an ONNX graph."""

    def apply(self, graph: onnx.ModelProto, ctx: PassContext) -> onnx.ModelProto:
        """Return the transformed graph; `graph` must not be changed."""
        ...


def is_graph_pass(made: Any) -> bool:
    """Tell whether a pass works on the graph, after all passes on the module."""
    return hasattr(made, "apply")


def replaces_model(made: Any) -> bool:
    """Tell whether a pass is a model pass that puts another net in the place of the model."""
    return bool(getattr(made, "replaces", False)) and not is_graph_pass(made)


class PassUse(msgspec.Struct, frozen=True):
    """One pass in a recipe as configured: its name (or `file.py:Name`) and its fields."""

    use: str
    fields: dict[str, Any] = {}

    @property
    def plug_ins(self) -> tuple[tuple[str, str], ...]:
        """Return kind and reference of the pass, and of the student if it names one."""
        student = self.fields.get(STUDENT_FIELD)
        named = isinstance(student, str) and bool(student)
        return (("pass", self.use), *((("student", str(student)),) if named else ()))


class Shipped(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An artifact that was shipped: a recipe with one runs it as it is, and builds nothing.

    `artifact` is its folder, and `sha256` that of the list of its files, `files.sha256`, '' if it
    is not told; the other fields say which one cell it is.
    """

    artifact: Annotated[str, Meta(min_length=1)]
    runtime: str
    device: str = PROCESSOR
    precision: str = "fp32"
    batch: Annotated[int, Meta(ge=1)] = 1
    sha256: str = ""


class ResolvedRecipe(msgspec.Struct, frozen=True):
    """A named list of passes, model passes first, as a run keeps it. `fp32` is the empty one.

    Passes that it has from another recipe of its suite are repeated here. `workloads` and
    `runtimes` limit it to those whose names match one of the patterns; empty means all of the
    suite. `slowdown` is the share by which each of its timed calls is prolonged, which no suite can
    ask for: changes of a known size show what a machine can see. What is `shipped` was made by the
    passes, and they are not applied again.
    """

    name: str
    passes: tuple[PassUse, ...] = ()
    workloads: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    slowdown: float = 0.0
    shipped: Shipped | None = None


FP32 = ResolvedRecipe("fp32")

# The field of a pass that names the net which takes the model's place.
STUDENT_FIELD = "student"
# The former name of a pass's field `runtime`, in earlier suites and journals and in cache keys.
OLD_RUNTIME_FIELD = "engine"

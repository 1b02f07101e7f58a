"""A scripted engine with exact latencies and any failure, for tests of the rest of perfsuite.

The environment variable `PERFSUITE_FAKE` names a JSON file that maps globs to scripts::

    {"*/int8/*": {"latencies_s": [0.001]}, "*": {"latencies_s": [0.005], "run": "crash"}}

A glob is matched with the cell's key, which the variable `PERFSUITE_CELL` holds, and with
`<int8 or precision>/<device>/b<batch>`; the first that matches is used. A script's `"kernels":
{"backbone/Conv": 0.8, "rpn/Conv": 0.1}` are shares of each latency in a profile; the rest is
overhead. What `"evidence"` has (items, layers, findings) is told as if it had been seen.
"""

from __future__ import annotations

import math
import os
import signal
import time
import zlib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import cycle
from pathlib import Path
from typing import ClassVar, Literal

import msgspec
import numpy as np

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.profile import Kernel, Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, ConfigError, SchemaError, Unavailable
from perfsuite.runtimes.shared.base import BaseSession, artifact_file, fixed_batch

SCRIPT, CELL = "PERFSUITE_FAKE", "PERFSUITE_CELL"
MODEL = "fake.json"

Behaviour = Literal["crash", "hang", "oom", "raise", "unavailable"]


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do in `build`, `open` and `run`, and the latencies of calls, which repeat."""

    latencies_s: tuple[float, ...] = (0.001,)
    kernels: dict[str, float] = {}
    evidence: Evidence = Evidence()
    build: Behaviour | None = None
    open: Behaviour | None = None
    run: Behaviour | Literal["nan"] | None = None


class Output(msgspec.Struct, frozen=True):
    """One output: its name and the shape of one sample."""

    name: str
    shape: tuple[int, ...]


class Fake:
    """Computes nothing and needs nothing installed."""

    name: ClassVar[str] = "fake"
    takes: ClassVar[str] = "nothing"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16", "bf16")

    def probe(self) -> dict[str, str]:
        """Return its version; it is always there."""
        return {"fake": "1"}

    def quantized_graphs(self, device: str) -> QuantizedGraphs:
        """Return the simplest form, as nothing is computed."""
        return QuantizedGraphs()

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Write `fake.json` with the shapes of outputs: those of the graph, else ten classes."""
        _behave(script(manifest, manifest.batch).build, "build")
        names = manifest.outputs or ("logits",)
        outputs = [Output(name, _sample_shape(variant.graph, i)) for i, name in enumerate(names)]
        (folder / MODEL).write_bytes(msgspec.json.encode(outputs))

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> FakeSession:
        """Return a session with a clock of its own."""
        fixed_batch(manifest.inputs, options.batch)
        path = artifact_file(folder, MODEL)
        try:
            outputs = msgspec.json.decode(path.read_bytes(), type=tuple[Output, ...])
        except msgspec.DecodeError as error:
            raise SchemaError(f"{path}: not a fake artifact ({error}); build it again") from error
        said = script(manifest, options.batch)
        _behave(said.open, "open")
        return FakeSession(said, outputs, manifest, options)


class FakeSession(BaseSession):
    """A session whose clock advances only by calls, each by the next scripted latency."""

    def __init__(
        self, said: Script, outputs: tuple[Output, ...], manifest: Manifest, options: SessionOptions
    ) -> None:
        self._run, self._kernels, self._evidence = said.run, said.kernels, said.evidence
        self._latencies_ns = cycle([round(latency * 1e9) for latency in said.latencies_s])
        self._outputs = outputs
        self._options = options
        self._precision = "int8" if manifest.quantized else manifest.precision
        self._now_ns = 0
        self.clock = self._read_clock

    def run(self, inputs: Inputs) -> Outputs:
        """Return one-hot rows, whose position depends only on the sample's bytes."""
        if self._run != "nan":
            _behave(self._run, "run")
        self._now_ns += next(self._latencies_ns)
        samples = next(iter(inputs.values()))
        digests = np.array([zlib.crc32(np.ascontiguousarray(s).tobytes()) for s in samples])
        return [self._pattern(digests, output.shape) for output in self._outputs]

    def evidence(self) -> Evidence:
        """Return one kernel of the precision that was asked for, and what the script has."""
        threads = EvidenceItem("reported", "threads", "the caller's", "1")
        said = self._evidence
        kernels = {f"FakeConv {self._precision}": 1, **said.kernels}
        return Evidence((threads, *said.items), kernels, said.layers, said.findings)

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return the scripted kernels, one after the other from the start of each call."""
        if not self._options.inspect:
            return super().profile(inputs, calls)
        walls_s = []
        for index in range(calls):
            begin_ns = self._now_ns
            self.run(inputs[index % len(inputs)])
            walls_s.append((self._now_ns - begin_ns) / 1e9)
        before, kernels = 0.0, []
        for name, share in self._kernels.items():
            kind = name.rpartition("/")[2]
            times_s = tuple(wall_s * share for wall_s in walls_s)
            starts_s = tuple(wall_s * before for wall_s in walls_s)
            kernels.append(Kernel(name, kind, times_s, starts_s, (name,), (), self._precision))
            before += share
        return Profile(tuple(walls_s), tuple(kernels))

    def _pattern(self, digests: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        width = math.prod(shape)
        output = np.zeros((len(digests), width), np.float32)
        output[np.arange(len(digests)), digests % width] = 1.0
        if self._run == "nan":
            output.fill(np.nan)
        return output.reshape(len(digests), *shape)

    def _read_clock(self) -> int:
        return self._now_ns


def script(manifest: Manifest, batch: int) -> Script:
    """Return the script for this artifact; raise `ConfigError` for an invalid script file."""
    file = os.environ.get(SCRIPT)
    if not file:
        return Script()
    try:
        scripts = msgspec.json.decode(Path(file).read_bytes(), type=dict[str, Script])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{SCRIPT}={file}: not a script ({error})") from error
    kind = "int8" if manifest.quantized else manifest.precision
    names = [f"{kind}/{manifest.device}/b{batch}", os.environ.get(CELL, "")]
    for pattern, said in scripts.items():
        if any(name and fnmatchcase(name, pattern) for name in names):
            if not said.latencies_s:
                raise ConfigError(f"{SCRIPT}={file}: '{pattern}': latencies_s is empty")
            shares = said.kernels.values()
            if min(shares, default=0) < 0 or sum(shares) > 1 + 1e-9:
                raise ConfigError(
                    f"{SCRIPT}={file}: '{pattern}': kernels are shares of a call: none below 0, "
                    f"together at most 1"
                )
            return said
    return Script()


def _behave(behaviour: str | None, where: str) -> None:
    if behaviour == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if behaviour == "hang":
        while True:
            time.sleep(3600)
    if behaviour == "oom":
        raise MemoryError(f"scripted, in {where}")
    if behaviour == "raise":
        raise BuildError(f"scripted, in {where}")
    if behaviour == "unavailable":
        raise Unavailable(f"scripted, in {where}: take it out of the script")


def _sample_shape(graph: Path | None, index: int) -> tuple[int, ...]:
    if graph is None:
        return (10,)
    from perfsuite.export.onnx import load_graph

    dims = load_graph(graph).graph.output[index].type.tensor_type.shape.dim
    return tuple(max(int(dim.dim_value), 1) for dim in dims[1:])

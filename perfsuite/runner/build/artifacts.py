"""Artifact folders on disk: the manifest, the inputs that timing rotates over, their size."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from perfsuite.domain.model import Stage
from perfsuite.domain.profile import Node
from perfsuite.domain.record import LayerWidth, Likeness, Replacement
from perfsuite.domain.runtime import MANIFEST, Manifest, Runtime, Session, SessionOptions
from perfsuite.domain.shapes import InputShapes
from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError, SchemaError
from perfsuite.plugins import load, source_digest
from perfsuite.runner.job import Job
from perfsuite.runtimes.split.session import is_split, open_split
from perfsuite.runtimes.table import RUNTIMES
from perfsuite.store.cache import key_of
from perfsuite.user_code import kind_of, require_type, user_code

if TYPE_CHECKING:
    from torch import nn

_T = TypeVar("_T")

_OF_A_RUNTIME = ("name", "takes", "devices", "precisions", "probe", "build", "open")
_OF_A_SESSION = ("run", "clock")  # evidence is asked for by one job alone
_TAKEN = ("graph", "module", "nothing")
INPUTS, FACTS, STAGES = "inputs.npz", "facts.json", "stages.json"


class Facts(msgspec.Struct, frozen=True):
    """The facts found while building, stored beside the artifact for when it is cached."""

    build_s: float
    parameters: int | None
    macs: int | None
    parity: dict[str, float]
    uncounted: dict[str, int] = {}
    widths: tuple[LayerWidth, ...] = ()  # of the layers, where passes changed any
    replaced: Replacement | None = None  # the model, by a pass
    sources: str = ""  # the digest of the plug-ins' source that the artifact was made with
    needs_source: bool = False  # it is opened with the module, which is rebuilt from its source
    versions: dict[str, str] = {}  # of the engine's libraries; empty in artifacts that did not tell
    runtime: str = ""  # what changes when the code of the runtime may have changed
    input_shapes: InputShapes = {}  # of the timed calls; empty in artifacts that did not tell
    likeness: tuple[Likeness, ...] = ()  # to fp32, where passes changed answers
    structure: str = ""  # the digest of the module that it is opened with, without weights
    labels: tuple[str, ...] = ()  # what is told of the graph and of its answers
    left: dict[str, str] = {}  # layers that passes on the graph left as they were, and why


class Parts(msgspec.Struct, frozen=True):
    """The nodes and stages by which a profile is broken down, without model and graph.

    `nodes` are those of the graph that the engine was given; for an engine that takes modules, the
    submodules with parameters.
    """

    nodes: tuple[Node, ...]
    stages: tuple[Stage, ...]
    spans: tuple[str, ...]  # methods among the stages' prefixes; of a split model all prefixes


def load_runtime(name: str) -> Runtime:
    """Return the runtime that a name or `file.py:name` refers to."""
    found: Any = load("runtime", name, RUNTIMES)
    if isinstance(found, type):
        with user_code(f"runtime '{name}': making it", ConfigError):
            found = found()
    lacking = [one for one in _OF_A_RUNTIME if not hasattr(found, one)]
    if lacking:
        raise ConfigError(f"runtime '{name}': it is no runtime, it has no {', '.join(lacking)}")
    if found.takes not in _TAKEN:
        raise ConfigError(
            f"runtime '{name}': its `takes` must be one of {', '.join(_TAKEN)}, not {found.takes!r}"
        )
    for said in ("devices", "precisions"):
        whose = f"runtime '{name}': its `{said}`"
        for one in require_type(getattr(found, said), tuple, whose, "a tuple of texts"):
            require_type(one, str, whose, "a tuple of texts")
    runtime: Runtime = found
    return runtime


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `artifact.json`."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))


def read_manifest(folder: Path) -> Manifest:
    """Return the content of `artifact.json`; raise `SchemaError` if it cannot be read."""
    return _decoded(folder / MANIFEST, Manifest, "manifest")


def write_facts(folder: Path, facts: Facts) -> None:
    """Write `facts.json`."""
    (folder / FACTS).write_bytes(msgspec.json.encode(facts))


def read_facts(folder: Path) -> Facts:
    """Return the content of `facts.json`; raise `SchemaError` if it cannot be read."""
    return _decoded(folder / FACTS, Facts, "facts")


def write_parts(folder: Path, parts: Parts) -> None:
    """Write `stages.json`."""
    (folder / STAGES).write_bytes(msgspec.json.encode(parts))


def read_parts(folder: Path) -> Parts:
    """Return the content of `stages.json`; raise `SchemaError` if it cannot be read."""
    return _decoded(folder / STAGES, Parts, "stages")


def _decoded(path: Path, kind: type[_T], what: str) -> _T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise SchemaError(f"{path}: not an artifact's {what} ({error})") from error


def sources_of(job: Job) -> str:
    """Return the digest of the source of the workload and the passes."""
    return key_of(
        source_digest("workload", job.reference),
        *(source_digest(*one) for use in job.recipe.passes for one in use.plug_ins),
    )


def write_inputs(folder: Path, inputs: Sequence[Inputs]) -> None:
    """Write the list of inputs that timing rotates over."""
    arrays = {f"{i}/{name}": value for i, item in enumerate(inputs) for name, value in item.items()}
    np.savez(folder / INPUTS, **arrays)  # type: ignore[arg-type]


def shapes_of(inputs: Sequence[Inputs]) -> InputShapes:
    """Return the shapes that each input has in these calls, each once."""
    return {name: tuple(dict.fromkeys(call[name].shape for call in inputs)) for name in inputs[0]}


def read_inputs(folder: Path) -> list[Inputs]:
    """Return the list of inputs, in order; raise `SchemaError` if it cannot be read."""
    path = folder / INPUTS
    items: dict[int, Inputs] = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                index, _, name = key.partition("/")
                items.setdefault(int(index), {})[name] = file[key]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise SchemaError(f"{path}: not an artifact's inputs ({error})") from error
    return [items[index] for index in sorted(items)]


def size_bytes(folder: Path) -> int:
    """Return the size of the engine's own files, which would be shipped."""
    files = (path for path in folder.rglob("*") if path.is_file())
    ours = (MANIFEST, INPUTS, FACTS, STAGES)
    return sum(path.stat().st_size for path in files if path.name not in ours)


def options(
    job: Job,
    rebuild: Callable[[], nn.Module] | None,
    *,
    batch: int | None = None,
    inspect: bool = False,
    spans: tuple[str, ...] = (),
) -> SessionOptions:
    """Return how a job opens its artifact; the switch of its cell may turn something off."""
    cell = job.cell
    plain = SessionOptions(batch or cell.batch, cell.threads, inspect, rebuild, spans)
    return replace(plain, **job.switch.options) if job.switch else plain


@contextmanager
def open_session(
    runtime: Runtime, folder: Path, manifest: Manifest, options: SessionOptions
) -> Iterator[Session]:
    """Open a session on the artifact in `folder`, of the whole model or of its stages."""
    with ExitStack() as stack:
        with user_code(f"{runtime.name}: its open()"):
            if is_split(folder):
                found = open_split(runtime, folder, manifest, options)
            else:
                found = runtime.open(folder, manifest, options)
            session = stack.enter_context(found)
        lacking = [one for one in _OF_A_SESSION if not hasattr(session, one)]
        if lacking:
            raise ConfigError(
                f"{runtime.name}: what its open() gives is no session: inside `with`, "
                f"{kind_of(session)} has no {', '.join(lacking)}"
            )
        try:
            yield session
        finally:
            with user_code(f"{runtime.name}: closing its session"):
                stack.close()

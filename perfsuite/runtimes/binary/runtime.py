"""The runtime of binary nets: kernels of our own, and ONNX Runtime for what they do not compute."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import BuildError, Unavailable, Unsupported
from perfsuite.runtimes.binary.plan import PLAN, TENSORS, Plan, Rest, Steps
from perfsuite.runtimes.shared.base import (
    artifact_file,
    build_error,
    fixed_batch,
    open_error,
    versions,
)

if TYPE_CHECKING:
    from perfsuite.runtimes.binary.session import BinarySession

_INSTALL = "pip install 'perfsuite[binary]'"


class PerfsuiteBinary:
    """Runs ONNX graphs with binary convolutions by kernels of its own; needs numba, onnxruntime."""

    name: ClassVar[str] = "perfsuite-binary"
    takes: ClassVar[str] = "graph"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    kernels: ClassVar[tuple[str, ...]] = ("binary",)
    artifact_version: ClassVar[int] = 3  # a test tells when it must be raised

    def probe(self) -> dict[str, str]:
        """Return the versions of what compiles the kernels and of what runs the rest."""
        return {
            **versions("numba", ("numba",), _INSTALL),
            **versions("onnxruntime", ("onnxruntime", "onnxruntime-gpu"), _INSTALL),
        }

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Write the plan, its numbers and the graphs of the rest; compile the kernels once."""
        import onnx

        from perfsuite.export.normalize import remove_sources
        from perfsuite.export.onnx import load_graph
        from perfsuite.runtimes.binary.cut import cut

        if variant.graph is None:
            raise BuildError(f"{self.name} takes an ONNX graph, and there is none")
        model = load_graph(variant.graph)
        remove_sources(model)  # of a user's file, which may be shipped
        made = cut(model)
        written = []
        try:
            for name, graph in made.graphs.items():
                written.append(folder / name)
                onnx.save(graph, folder / name)
            self._try_rest(made.plan, folder, variant.graph)
            self._check(made.plan)
            np.savez(folder / TENSORS, **made.tensors)  # type: ignore[arg-type]
            (folder / PLAN).write_bytes(msgspec.json.encode(made.plan))
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        _kernels()

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> BinarySession:
        """Return a session, for `options.batch` samples if that is not 0."""
        from perfsuite.runtimes.binary.rest import RestSession

        fixed_batch(manifest.inputs, options.batch)
        plan, tensors = _stored(folder)
        rest = {}
        for segment in plan.segments:
            if isinstance(segment, Rest):
                path = artifact_file(folder, segment.file)
                try:
                    rest[segment.file] = RestSession(segment, path, options.batch, options.threads)
                except Exception as error:
                    raise open_error(self.name, path, error) from error
        _kernels()
        from perfsuite.runtimes.binary.session import BinarySession

        return BinarySession(plan, tensors, rest, options.threads, manifest.inputs)

    def _try_rest(self, plan: Plan, folder: Path, graph: Path) -> None:
        """Raise `Unsupported` for an operator that ONNX Runtime lacks."""
        from perfsuite.runtimes.binary.rest import RestSession

        for segment in plan.segments:
            if isinstance(segment, Rest):
                try:
                    RestSession(segment, folder / segment.file, 0, 1)
                except Exception as error:
                    raise build_error(self.name, graph, error) from error

    def _check(self, plan: Plan) -> None:
        """Raise `Unsupported` if nothing is there for our kernels."""
        kinds = {
            step.kind for part in plan.segments if isinstance(part, Steps) for step in part.steps
        }
        if "binary" not in kinds:
            raise Unsupported(
                f"{self.name}: the graph has no binary convolution that its kernels compute; "
                f"add the pass binarize to the recipe, or take another engine"
            )


def _stored(folder: Path) -> tuple[Plan, dict[str, npt.NDArray[Any]]]:
    """Return what `build` wrote; raise `SchemaError` for what cannot be read."""
    path = artifact_file(folder, PLAN)
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=Plan)
        path = artifact_file(folder, TENSORS)
        with np.load(path, allow_pickle=False) as stored:
            return plan, dict(stored)
    except (msgspec.MsgspecError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise open_error(PerfsuiteBinary.name, path, error) from error


def _kernels() -> None:
    """Compile the kernels, or take them from Numba's cache."""
    try:
        from perfsuite.runtimes.binary.team import compiled
    except ImportError as error:
        raise Unavailable(
            f"numba does not load ({error}); install one that fits, with NumPy: {_INSTALL}"
        ) from error
    compiled()

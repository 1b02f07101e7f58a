"""Split execution: the modules of a model's stages run on an engine, the rest in PyTorch.

It is for models that do not export whole. An artifact has one folder for each piece, as the engine
builds it, and `pieces.json`. Opening it needs `SessionOptions.rebuild`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.profile import Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest, Runtime, Session, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, PerfsuiteError, Unsupported
from perfsuite.export.calls import caller, evaluated, tensor_of, tensors_in
from perfsuite.export.pieces import PIECES, Piece, Pieces, as_array, flatten, read_pieces, restore
from perfsuite.runtimes.shared.module_session import ModuleSession
from perfsuite.runtimes.split.profile import profile
from perfsuite.user_code import user_code

if TYPE_CHECKING:
    from torch import nn


def is_split(folder: Path) -> bool:
    """Tell whether the artifact in `folder` is a split one."""
    return (folder / PIECES).is_file()


def build_split(runtime: Runtime, pieces: Path, manifest: Manifest, folder: Path) -> None:
    """Build each graph that `export_pieces` wrote into the folder `pieces` by `runtime`.

    A piece that the engine refuses stays in PyTorch and is named in `pieces.json`. If the engine
    refuses all, its error is raised.
    """
    found = read_pieces(pieces)
    if found is None:
        raise BuildError(f"{pieces}: holds no pieces of a model")
    built: list[Piece] = []
    left = dict(found.left)
    refusal: PerfsuiteError | None = None
    for piece in found.pieces:
        place = folder / Path(piece.graph).stem
        place.mkdir()
        try:
            variant = Variant(pieces / piece.graph, None, quantized=False, shapes=piece.shapes)
            with user_code(f"{runtime.name}: its build()"):
                runtime.build(variant, _manifest(piece, manifest), place)
            built.append(piece)
        except (BuildError, Unsupported) as error:
            left[piece.path], refusal = str(error), error
            for file in place.iterdir():
                file.unlink()
            place.rmdir()
    if refusal is not None and not built:
        raise refusal
    (folder / PIECES).write_bytes(msgspec.json.encode(Pieces(tuple(built), found.whole, left)))


def open_split(
    runtime: Runtime, folder: Path, manifest: Manifest, options: SessionOptions
) -> Session:
    """Return a session on the rebuilt module, its pieces replaced by sessions of `runtime`."""
    found = read_pieces(folder)
    if found is None or options.rebuild is None:
        raise BuildError(f"{folder}: a split artifact needs {PIECES} and the module")
    module = evaluated(options.rebuild())
    with ExitStack() as stack:
        engines = []
        for piece in found.pieces:
            place = folder / Path(piece.graph).stem
            session = runtime.open(place, _manifest(piece, manifest), _options(piece, options))
            stack.enter_context(session)
            engine = _engine()(piece, session)
            parent, _, name = piece.path.rpartition(".")
            setattr(module.get_submodule(parent), name, engine)
            engines.append(engine)
        return SplitSession(module, manifest, found, engines, options, stack.pop_all())


def described(runtime: Any, folder: Path) -> Evidence:
    """Return what `runtime` says that it has built of each piece, and which stages it has not."""
    found = read_pieces(folder)
    if found is None:
        raise BuildError(f"{folder}: a split artifact needs {PIECES}")
    items = [EvidenceItem("reported", "execution", "split", found.whole)]
    for piece in found.pieces:
        told = runtime.describe(folder / Path(piece.graph).stem)
        named = [
            msgspec.structs.replace(one, name=f"{piece.path}: {one.name}")
            if one.about == "precision"
            else one
            for one in told.items
        ]
        items += [one for one in named if one not in items]
    for path, reason in found.left.items():
        items.append(EvidenceItem("reported", "stage", path, f"pytorch ({reason})"))
    return Evidence(tuple(items))


class SplitSession(ModuleSession):
    """A module in evaluation mode whose stages run on an engine."""

    def __init__(
        self,
        module: nn.Module,
        manifest: Manifest,
        pieces: Pieces,
        engines: list[Any],
        options: SessionOptions,
        opened: ExitStack,
    ) -> None:
        super().__init__(module)
        self._names = [spec.name for spec in manifest.inputs]
        self._call: Any = caller(module, self._names)
        self._runtime = manifest.runtime
        self._pieces, self._engines, self._opened = pieces, engines, opened
        self._spans, self._rebuild = options.spans, options.rebuild if options.inspect else None

    def run_in_place(self, inputs: Inputs) -> Outputs:
        """Return the module's tensors, in order, as host arrays."""
        import torch

        tensors = [tensor_of(inputs[name]) for name in self._names]
        stages = ", ".join(engine.piece.path for engine in self._engines)
        whose = (
            f"the model runs in pieces, where its code can call the modules of its stages "
            f"({stages}), and nothing else of them; that code"
        )
        with user_code(whose), torch.inference_mode():
            answer = self._call(tensors)
        return [as_array(tensor) for tensor in tensors_in(answer, type(self._module).__name__)]

    def evidence(self) -> Evidence:
        """Return the engine's evidence of each piece, and the stages that do not run on it."""
        items = [EvidenceItem("reported", "execution", "split", self._pieces.whole)]
        kernels: dict[str, int] = {}
        layers: list[LayerKernel] = []
        for engine in self._engines:
            found = engine.session.evidence()
            items += [item for item in found.items if item not in items]
            items.append(EvidenceItem("reported", "stage", engine.piece.path, self._runtime))
            for name, count in found.kernels.items():
                kernels[name] = kernels.get(name, 0) + count
            layers += found.layers
        for path, reason in self._pieces.left.items():
            items.append(EvidenceItem("reported", "stage", path, f"pytorch ({reason})"))
        return Evidence(tuple(items), kernels, tuple(layers))

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return the time of each stage, and of the code between the stages."""
        if self._rebuild is None:
            raise Unsupported("a split model is profiled only if it was opened with inspect")
        engines = {engine.piece.path: self._runtime for engine in self._engines}
        parts = dict.fromkeys(self._spans, "pytorch") | engines
        return profile(self._module, self.run, parts, inputs, calls, self._rebuild())

    def close(self) -> None:
        """Close the engine's sessions and free the module."""
        self._opened.close()
        self._module = self._call = None


def _manifest(piece: Piece, whole: Manifest) -> Manifest:
    return msgspec.structs.replace(whole, inputs=piece.inputs, outputs=piece.outputs)


def _options(piece: Piece, whole: SessionOptions) -> SessionOptions:
    """Return how to open a piece, whose first dimension may count proposals or regions."""
    first = piece.inputs[0].shape[:1]
    return replace(whole, batch=first[0] if first and isinstance(first[0], int) else 0)


@cache
def _engine() -> Any:
    import torch
    from torch import nn

    class Engine(nn.Module):
        """Takes the place of a module, and calls an engine."""

        def __init__(self, piece: Piece, session: Session) -> None:
            super().__init__()
            self.piece, self.session = piece, session
            self.eval()

        def forward(self, *given: Any, **named: Any) -> Any:
            takes, tensors = flatten([list(given), named])
            if takes != self.piece.takes:
                raise BuildError(
                    f"{self.piece.path}: called in another way than when it was exported"
                )
            names = [entry.name for entry in self.piece.inputs]
            arrays = [as_array(tensor) for tensor in tensors]
            answer = self.session.run(dict(zip(names, arrays, strict=True)))
            return restore(self.piece.gives, map(torch.from_numpy, answer))

    return Engine

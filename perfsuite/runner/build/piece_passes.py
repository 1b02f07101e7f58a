"""Graph passes on a model in pieces: the graph of each stage's module is changed by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from perfsuite.domain.recipe import PassContext
from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.piece_inputs import PieceInputs
from perfsuite.export.pieces import PIECES, Piece, read_pieces
from perfsuite.runner.build.steps import Step
from perfsuite.user_code import require_type, user_code

if TYPE_CHECKING:
    import onnx
    from torch import nn

Given = Callable[[Iterable[Inputs]], Iterator[Inputs]]  # a piece's inputs, of the model's samples


def apply_to_pieces(
    step: Step, module: nn.Module, context: PassContext, source: Path, folder: Path
) -> None:
    """Write the pieces in `source` into `folder`, each changed by the graph pass of `step`.

    Samples run through the whole `module`, and the pass sees what a piece's module is called with.
    A piece in which the pass finds nothing to do stays as it is; if that is so for all of them, its
    error is raised.
    """
    import onnx

    found = read_pieces(source)
    if found is None:
        raise BuildError(f"{source}: holds no pieces of a model")
    shutil.copyfile(source / PIECES, folder / PIECES)
    given = PieceInputs(module, found.pieces)
    refusal: Unsupported | None = None
    changed = 0
    for piece in found.pieces:
        try:
            made = _applied(step, partial(given.of, piece), piece, context, source / piece.graph)
        except Unsupported as error:
            refusal = Unsupported(f"{piece.path}: {error}")
            shutil.copyfile(source / piece.graph, folder / piece.graph)
            continue
        onnx.save(made, folder / piece.graph)
        changed += 1
    if refusal is not None and not changed:
        raise refusal


def _applied(
    step: Step, given: Given, piece: Piece, context: PassContext, graph: Path
) -> onnx.ModelProto:
    import onnx

    from perfsuite.export.onnx import load_graph
    from perfsuite.export.sides import keep_settled

    before, whose = load_graph(graph), f"{step.use.use}: its apply() on {piece.path}"
    inputs = next(given(iter([context.inputs])), {})
    own = replace(
        context,
        inputs=inputs,
        calibration=lambda samples: given(context.calibration(samples)),
        validation=_has_no_answers,
        metric=_has_no_answers,
    )
    with user_code(whose):
        made = step.pass_.apply(before, own)
    require_type(made, onnx.ModelProto, whose, "an onnx.ModelProto")
    keep_settled(before, made)
    return made


def _has_no_answers(*_: Any) -> NoReturn:
    raise Unsupported(
        "the model runs in pieces, of which none answers validation samples by itself: say which "
        "layers stay in float instead of trying them"
    )

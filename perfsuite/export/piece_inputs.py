"""What the modules of pieces are called with, while the whole model answers samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported
from perfsuite.export.calls import called
from perfsuite.export.pieces import Piece, as_array, flatten

if TYPE_CHECKING:
    from torch import nn

MOST_BYTES = 2**30  # of inputs that are kept

_Calls = dict[str, list[Inputs]]  # by the path of a piece


class PieceInputs:
    """The inputs of all pieces, sample by sample, of which `most_bytes` are kept.

    A pass reads samples several times, and each piece has a turn: the whole model, which costs most
    of it, answers a sample for all pieces at once, and once, as long as there is room.
    """

    def __init__(
        self, module: nn.Module, pieces: Sequence[Piece], most_bytes: int = MOST_BYTES
    ) -> None:
        self._module, self._pieces = module, pieces
        self._left_bytes, self._kept = most_bytes, dict[bytes, _Calls]()

    def of(self, piece: Piece, samples: Iterable[Inputs]) -> Iterator[Inputs]:
        """Yield the inputs of each call of a piece's module, while the model answers `samples`.

        Calls of another structure than when it was exported are left out.
        """
        for sample in samples:
            yield from self._calls(sample)[piece.path]

    def _calls(self, sample: Inputs) -> _Calls:
        key = _digest(sample)
        found = self._kept.get(key)
        if found is None:
            found = self._watched(sample)
            size = sum(
                array.nbytes for calls in found.values() for one in calls for array in one.values()
            )
            if size <= self._left_bytes:
                self._left_bytes -= size
                self._kept[key] = found
        return found

    def _watched(self, sample: Inputs) -> _Calls:
        import torch

        found: _Calls = {piece.path: [] for piece in self._pieces}

        def hook(piece: Piece, _: Any, given: Any, named: Any) -> None:
            try:
                takes, tensors = flatten([list(given), named])
            except Unsupported:
                return
            if takes == piece.takes:
                names = (entry.name for entry in piece.inputs)
                arrays = (as_array(tensor).copy() for tensor in tensors)
                found[piece.path].append(dict(zip(names, arrays, strict=True)))

        handles = [
            self._module.get_submodule(piece.path).register_forward_pre_hook(
                partial(hook, piece), with_kwargs=True
            )
            for piece in self._pieces
        ]
        try:
            with torch.no_grad():
                called(self._module, sample)
        finally:
            for handle in handles:
                handle.remove()
        return found


def _digest(sample: Inputs) -> bytes:
    digest = hashlib.sha256()
    for name, array in sample.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()

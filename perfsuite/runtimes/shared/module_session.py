"""The base of sessions that call a torch module, whose code may reach into their arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.export.attributes import Attributes
from perfsuite.export.calls import copies
from perfsuite.runtimes.shared.base import BaseSession

if TYPE_CHECKING:
    import torch
    from torch import nn

_WATCHED = 8  # calls, among which there is one with each of the inputs that are timed


class ModuleSession(BaseSession):
    """A session whose module shares the memory of its inputs and outputs, as that costs no time.

    Code such as `x -= mean` changes the caller's arrays, and an answer may be a part of the inputs
    or of what the module keeps for its next call. The first calls find that out. Where it is so,
    `shares_memory` is set, and `run` copies what goes in and out; who times calls makes the copies
    and uses `run_in_place`.
    """

    shares_memory = False

    def __init__(self, module: nn.Module) -> None:
        self._module: Any = module
        self._to_watch = _WATCHED

    def run(self, inputs: Inputs) -> Outputs:
        """Return the module's tensors, in order, as host arrays; `inputs` stay as they are."""
        if self._to_watch:
            return self._watched(inputs)
        if self.shares_memory:
            return [output.copy() for output in self.run_in_place(copies(inputs))]
        return self.run_in_place(inputs)

    def run_in_place(self, inputs: Inputs) -> Outputs:
        """Return what `run` does; with `shares_memory`, inputs and outputs are the module's."""
        raise NotImplementedError

    def _watched(self, inputs: Inputs) -> Outputs:
        self._to_watch -= 1
        given = copies(inputs)
        outputs = self.run_in_place(given)
        changed = any(given[name].tobytes() != array.tobytes() for name, array in inputs.items())
        if changed or _overlap(outputs, [*_spans(given), *_kept(self._module)]):
            self.shares_memory = True
            outputs = [output.copy() for output in outputs]
        return outputs


def _spans(inputs: Inputs) -> Iterator[tuple[int, int]]:
    """Yield the memory of arrays: its begin and its end."""
    for array in inputs.values():
        begin = array.__array_interface__["data"][0]
        yield begin, begin + array.nbytes


def _kept(module: nn.Module) -> Iterator[tuple[int, int]]:
    """Yield the memory of all tensors that a module keeps."""
    for part in module.modules():
        own = (*part.parameters(recurse=False), *part.buffers(recurse=False))
        for tensor in (*own, *Attributes(part).tensors()):
            if not _elsewhere(tensor):
                storage = tensor.untyped_storage()
                yield storage.data_ptr(), storage.data_ptr() + storage.nbytes()


def _elsewhere(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor has no memory of the processor's that an array could share."""
    import torch

    return tensor.device.type != "cpu" or tensor.layout is not torch.strided


def _overlap(outputs: Outputs, spans: list[tuple[int, int]]) -> bool:
    places = [array.__array_interface__["data"][0] for array in outputs if array.nbytes]
    return any(begin <= place < end for place in places for begin, end in spans)

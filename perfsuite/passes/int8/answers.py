"""A graph answers the questions of a task, in this process, a few samples at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import Unsupported
from perfsuite.export.onnx import graph_spec
from perfsuite.passes.int8.calibration import open_graph, run_graph

if TYPE_CHECKING:
    import onnx

MOST = 50  # samples of a call
_BATCH = "batch"


class Answers:
    """A `Predict` on a graph: any number of samples is answered, in calls of at most `most`.

    A graph of a fixed batch gets calls of that size, the last one filled up with its last sample.
    """

    def __init__(self, model: onnx.ModelProto, most: int = MOST) -> None:
        spec, _ = graph_spec(model)
        self._sides = {item.name: item.shape for item in spec if not item.per_call}
        self._is_open = any(_BATCH in sides for sides in self._sides.values())
        self._most, self._session = most, open_graph(model)

    def __call__(self, inputs: Inputs) -> Outputs:
        """Return all outputs; raise `Unsupported` where those of several calls cannot be joined."""
        axes = self._axes(inputs)
        if not axes:
            return run_graph(self._session, inputs)
        name, axis = next(iter(axes.items()))
        count = inputs[name].shape[axis]
        size = min(self._most, count) if self._is_open else int(self._sides[name][axis])
        calls: list[_Call] = []
        for start in range(0, count, size):
            kept = min(start + size, count) - start
            asked = kept if self._is_open else size
            places = np.arange(start, start + asked).clip(max=count - 1)
            cut = {
                one: np.ascontiguousarray(np.take(array, places, axes[one]))
                if one in axes
                else array
                for one, array in inputs.items()
            }
            calls.append(_Call(asked, kept, run_graph(self._session, cut)))
        return [_joined(place, calls, axis) for place in range(len(calls[0].outputs))]

    def _axes(self, inputs: Inputs) -> dict[str, int]:
        """Return along which axis each input counts samples, of those that are to be cut."""
        given = {name: sides for name, sides in self._sides.items() if name in inputs}
        if self._is_open:
            return {name: sides.index(_BATCH) for name, sides in given.items() if _BATCH in sides}
        return {
            name: 0
            for name, sides in given.items()
            if sides and inputs[name].ndim and inputs[name].shape[0] != sides[0]
        }


class _Call(NamedTuple):
    """The answers to so many samples, of which the first few are kept."""

    asked: int
    kept: int
    outputs: Outputs


def _joined(place: int, calls: Sequence[_Call], likely: int) -> np.ndarray:
    """Return one output of all calls, without the answers to what only filled up a call.

    One that counts no samples must be the same in all of them.
    """
    for axis in dict.fromkeys((likely, 0)):
        if all(_length(call.outputs[place], axis) == call.asked for call in calls):
            parts = [np.take(call.outputs[place], range(call.kept), axis) for call in calls]
            return np.concatenate(parts, axis)
    first: np.ndarray = calls[0].outputs[place]
    same = all(np.array_equal(first, call.outputs[place]) for call in calls)
    if same and all(call.asked == call.kept for call in calls):
        return first
    raise Unsupported(
        f"output {place} has the shape {first.shape} for a call of {calls[0].asked} samples: which "
        f"of it is of which sample cannot be told"
    )


def _length(array: np.ndarray, axis: int) -> int | None:
    return array.shape[axis] if array.ndim > axis else None

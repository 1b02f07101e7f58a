"""What a task asks an artifact: its samples, cut into calls, and the answers put together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perfsuite.domain.model import InputSpec
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, ConfigError
from perfsuite.runner.build.batching import batch_axis

Answers = list[np.ndarray | None]


class NotBySample(BuildError):
    """Answers cannot be told apart, or put together, because they do not count samples."""


class Question:
    """The inputs of any number of samples, for a model that takes `spec`.

    `axes` says along which axis each input counts samples; an input that is not in it is the same
    for all of them. For a model without an open batch, which takes `batch` samples, these are the
    inputs that are longer or shorter than what it takes. Raises `ConfigError` where inputs do not
    have equally many samples, or none.
    """

    def __init__(self, inputs: Inputs, spec: Sequence[InputSpec], batch: int) -> None:
        self.inputs, self.spec, self._batch = inputs, spec, batch
        self._is_open = any(batch_axis(item) is not None for item in spec)
        self.axes = self._open_axes() if self._is_open else self._other_lengths()
        counts = {name: inputs[name].shape[axis] for name, axis in self.axes.items()}
        if len(set(counts.values())) > 1 or 0 in counts.values():
            raise ConfigError(
                f"rows() asks for the answers to so many samples: {counts}; give predict() as many "
                f"of each input, at least one"
            )
        self.count: int = next(iter(counts.values()), 1 if self._is_open else batch)

    def _open_axes(self) -> dict[str, int]:
        found = {}
        for item in self.spec:
            axis = batch_axis(item)
            if axis is None or item.name not in self.inputs:
                continue
            shape = self.inputs[item.name].shape
            if len(shape) != len(item.shape):
                raise ConfigError(self._misfit(item, shape))
            found[item.name] = axis
        return found

    def _other_lengths(self) -> dict[str, int]:
        return {
            item.name: 0
            for item in self.spec
            if item.name in self.inputs
            and item.shape
            and not item.per_call
            and isinstance(item.shape[0], int)
            and (shape := self.inputs[item.name].shape)
            and shape[0] != item.shape[0]
        }

    def places(self, few: int) -> list[int]:
        """Return the places of a few samples, from the first to the last, evenly spread.

        An engine may answer the first samples of a call right, and others wrong.
        """
        count = min(few, self.count)
        return [place * (self.count - 1) // max(count - 1, 1) for place in range(count)]

    def some(self, few: int) -> Question:
        """Return the question for these samples alone."""
        places = self.places(few)
        inputs = {
            name: np.ascontiguousarray(np.take(array, places, self.axes[name]))
            if name in self.axes
            else array
            for name, array in self.inputs.items()
        }
        return Question(inputs, self.spec, self._batch)

    def padded(self, start: int, stop: int, size: int) -> Inputs:
        """Return the samples `start` to `stop`; the last is repeated until there are `size`."""
        if start == 0 and stop == size == self.count:
            return {name: np.asarray(array, order="C") for name, array in self.inputs.items()}
        index = np.minimum(np.arange(start, start + size), stop - 1)
        return {
            name: np.ascontiguousarray(np.take(array, index, self.axes[name]))
            if name in self.axes
            else array
            for name, array in self.inputs.items()
        }

    def axis(self, output: np.ndarray, samples: int) -> int | None:
        """Return which axis of an answer to so many samples counts them; None if none does."""
        likely = next(iter(self.axes.values()), 0)
        for axis in (likely, 0):
            if output.ndim > axis and output.shape[axis] == samples:
                return axis
        return None

    def cut(self, outputs: Outputs, samples: int, kept: int) -> Outputs:
        """Return the answers to the first samples of a call; raise `NotBySample` if there are none.

        An output that counts no samples may have been computed of the padding, too.
        """
        axes = [self.axis(output, samples) for output in outputs]
        for place, axis in enumerate(axes):
            if axis is None:
                raise NotBySample(_not_told_apart(place, outputs[place], samples))
        return [
            np.take(output, range(kept), axis) for output, axis in zip(outputs, axes, strict=True)
        ]

    def joined(self, parts: Sequence[Outputs], sizes: Sequence[int]) -> Outputs:
        """Return the answers of several calls, of these sizes, as those of one.

        What counts no samples must be the same in all calls; else `NotBySample` is raised.
        """
        if len(parts) == 1:
            return parts[0]
        found: Outputs = []
        for place, column in enumerate(self.columns(parts, sizes)):
            first = parts[0][place]
            if column is None and any(not np.array_equal(first, one[place]) for one in parts):
                raise NotBySample(_not_told_apart(place, first, sizes[0]))
            found.append(first if column is None else column)
        return found

    def columns(self, parts: Sequence[Outputs], sizes: Sequence[int]) -> Answers:
        """Return each output of several calls as that of one; None for what counts no samples."""
        found: Answers = []
        for arrays in zip(*parts, strict=True):
            axes = {self.axis(array, size) for array, size in zip(arrays, sizes, strict=True)}
            axis = axes.pop() if len(axes) == 1 else None
            found.append(None if axis is None else np.concatenate(arrays, axis))
        return found

    def misfit(self) -> str:
        """Return what of the inputs has another shape than the model takes; '' if all fit."""
        for item in self.spec:
            shape = self.inputs[item.name].shape if item.name in self.inputs else None
            if shape is not None and not _fits(shape, item.shape, self.axes.get(item.name)):
                return self._misfit(item, shape)
        return ""

    def _misfit(self, item: InputSpec, shape: tuple[int, ...]) -> str:
        takes = ", ".join(map(str, item.shape))
        return (
            f"rows() asks with '{item.name}' of the shape {shape}, and what was built takes "
            f"({takes}): bring samples to that size before predict(), or give an ONNX file with "
            f"these sides open; of a torch module, which is exported for one size, only the "
            f"runtime pytorch takes several"
        )


def _fits(shape: tuple[int, ...], takes: tuple[int | str, ...], axis: int | None) -> bool:
    return len(shape) == len(takes) and all(
        isinstance(side, str) or side == found or place == axis
        for place, (side, found) in enumerate(zip(takes, shape, strict=True))
    )


def _not_told_apart(place: int, output: np.ndarray, samples: int) -> str:
    return (
        f"output {place} has the shape {output.shape} for a call of {samples} samples: which of it "
        f"is of which sample cannot be told; let rows() ask for one sample at a time"
    )

"""The ranges and variances of each channel of a graph's tensors over calibration samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.export.bodies import names_made, unused_name
from perfsuite.passes.int8.calibration import open_graph, pieces, run_graph
from perfsuite.passes.int8.opsets import opset_of

if TYPE_CHECKING:
    import onnx

_AXES_ARE_INPUTS = 18  # the first opset in which the axes of these reductions are no attribute
_STATISTICS = ("ReduceMin", "ReduceMax", "ReduceMean", "ReduceMean")  # the last of squares


class Channels(NamedTuple):
    """The least and the greatest value of each channel, and its variance."""

    low: np.ndarray
    high: np.ndarray
    variance: np.ndarray

    def within(self, least: float, most: float) -> Channels:
        """Return the channels if nothing below `least` and above `most` were told apart."""
        return Channels(self.low.clip(least, most), self.high.clip(least, most), self.variance)


def channels_of(
    model: onnx.ModelProto, tensors: Sequence[str], axes: int, batches: Iterable[Inputs]
) -> dict[str, Channels]:
    """Return the channels, which the second axis counts, of `tensors` of `axes` axes.

    Tensors with values that are not finite are left out, and all if there are no samples. Memory
    depends on the largest batch.
    """
    names = list(dict.fromkeys(tensors))
    session = open_graph(_reduced(model, names, axes))
    found: list[list[np.ndarray]] = []
    for piece in pieces(model, batches):
        found.append([np.asarray(one, np.float64) for one in run_graph(session, piece)])
    return dict(_joined(names, found)) if found else {}


def _joined(names: Sequence[str], found: list[list[np.ndarray]]) -> Iterator[tuple[str, Channels]]:
    for place, name in enumerate(names):
        first = place * len(_STATISTICS)
        low, high, mean, square = (
            np.stack([one[first + statistic] for one in found])
            for statistic in range(len(_STATISTICS))
        )
        if all(np.isfinite(one).all() for one in (low, high, mean, square)):
            variance = square.mean(axis=0) - np.square(mean.mean(axis=0))
            yield name, Channels(low.min(axis=0), high.max(axis=0), variance.clip(min=0.0))


def _reduced(model: onnx.ModelProto, tensors: Sequence[str], axes: int) -> onnx.ModelProto:
    """Return a copy of `model` whose outputs are the statistics of `tensors` and nothing else."""
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    others = [0, *range(2, axes)]
    taken = names_made(copy.graph)
    given = unused_name("channels_axes", taken)
    attribute = {"axes": others}
    inputs: list[str] = []
    if opset_of(model) >= _AXES_ARE_INPUTS:
        copy.graph.initializer.append(numpy_helper.from_array(np.array(others, np.int64), given))
        inputs, attribute = [given], {}
    for tensor in tensors:
        square = unused_name("channels_square", taken)
        copy.graph.node.append(helper.make_node("Mul", [tensor, tensor], [square], square))
        for place, operator in enumerate(_STATISTICS):
            output = unused_name("channels_statistic", taken)
            read = square if place == len(_STATISTICS) - 1 else tensor
            copy.graph.node.append(
                helper.make_node(
                    operator, [read, *inputs], [output], output, keepdims=0, **attribute
                )
            )
            value = helper.make_tensor_value_info(output, TensorProto.FLOAT, [None])
            copy.graph.output.append(value)
    return copy

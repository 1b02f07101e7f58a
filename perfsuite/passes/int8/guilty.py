"""The layers that must stay float, so that a rounded graph loses no more than is allowed.

Each layer is rounded alone, and the error that it makes in the answers on a few calibration samples
puts the layers into an order, because so small losses of single layers do not show in a metric.
Then whole graphs are judged, on validation samples: as many of the first layers of that order stay
float as are needed, found by halving, and of these each is tried to be rounded after all, the
least guilty first. A net of n layers so takes n short trials, and about log n and at most a dozen
whole ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from perfsuite.domain.recipe import PassContext
from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported
from perfsuite.passes.int8.answers import MOST, Answers
from perfsuite.passes.int8.calibration import open_graph, pieces, run_graph
from perfsuite.passes.int8.correction import mean_errors, subtract
from perfsuite.passes.int8.layers import Layer, able
from perfsuite.passes.int8.rounding import Rounding
from perfsuite.passes.int8.tried import Tried
from perfsuite.passes.int8.unchanged import steady

if TYPE_CHECKING:
    import onnx

SCORED = 32  # calibration samples on which single layers are tried
CORRECTING = 64  # samples from which the means are taken that biases make up for
_DIGITS = 9  # of a loss in points
_TAKEN_BACK = 12  # layers at most that are tried to be rounded after all


class Guilty(NamedTuple):
    """The results of the layers that stay float, and why, by the layer's name."""

    stays: tuple[str, ...]
    left: dict[str, str]


def guilty(
    rounding: Rounding, layers: Sequence[Layer], ctx: PassContext, max_drop_points: float
) -> Guilty:
    """Return as few of the layers as must stay float for a loss of at most `max_drop_points`.

    It is that of the task's main metric on its validation samples. For a task that has none, it is
    the error on calibration samples: |a-b|^2 / |b|^2 of the output that differs most from fp32, in
    percent. Raises `Unsupported` if no layer can be rounded within that.
    """
    return _Search(rounding, list(able(layers, rounding.whole.weighted)), ctx).find(max_drop_points)


class _Search:
    def __init__(self, rounding: Rounding, layers: list[Layer], ctx: PassContext) -> None:
        self.rounding, self.layers, self.ctx = rounding, layers, ctx
        whole = rounding.graph(rounding.whole)
        self.means = mean_errors(
            whole, rounding.model, rounding.whole.weighted, ctx.calibration(CORRECTING)
        )
        self.errors = _Errors(rounding.model, whole, ctx)
        self.done, self.total = 0, len(layers) + _judged(len(layers))
        self.losses: dict[frozenset[str], float] = {}
        self.tried = Tried(ctx.checkpoint.with_name(f"{ctx.checkpoint.name}.layers.json"))
        self.judge: Callable[[onnx.ModelProto], float]
        self.told: Callable[[float], str]
        try:
            validation = _Validation(rounding.model, ctx, self.errors.batch)
            self.judge, self.on, self.told = validation.loss, validation.words, _in_points
        except Unsupported as reason:
            self.judge, self.told = self.errors.percent, _in_percent
            self.on = self.errors.words(str(reason))

    def find(self, limit: float) -> Guilty:
        all_rounded = self._loss(())
        if all_rounded <= limit:
            return Guilty((), {})
        alone = {layer.name: self._alone(layer) for layer in self.layers}
        order = sorted(self.layers, key=lambda layer: -alone[layer.name])
        kept = self._without_innocent(self._shortest(order, limit), limit)
        if len(kept) == len(order):
            few = len(order) <= _TAKEN_BACK
            which = "no layer" if few else f"none of the {_TAKEN_BACK} least guilty layers"
            raise Unsupported(
                f"int8: {which} can be rounded within max_drop_points = {limit:g}: with "
                f"'{order[-1].name}' alone {self.told(self._loss(order[:-1]))} {self.on}; allow "
                f"more, or leave int8 away"
            )
        which = "this layer" if len(kept) == 1 else f"these {len(kept)} layers"
        judged = (
            f"with all rounded {self.told(all_rounded)}, with {which} in float "
            f"{self.told(self._loss(kept))}, {self.on}"
        )
        left = {
            layer.name: f"rounded alone it changes the answers by {_percent(alone[layer.name])}; "
            f"{judged}"
            for layer in kept
        }
        return Guilty(tuple(result for layer in kept for result in layer.results), left)

    def _shortest(self, order: Sequence[Layer], limit: float) -> list[Layer]:
        """Return the first few layers of `order` that must stay float, maybe all of them."""
        low, high = 0, len(order)  # too few, and enough
        while high - low > 1:
            middle = (low + high) // 2
            enough = self._loss(order[:middle]) <= limit
            low, high = (low, middle) if enough else (middle, high)
        return list(order[:high])

    def _without_innocent(self, kept: Sequence[Layer], limit: float) -> list[Layer]:
        """Return the layers without those that can be rounded after all, tried from the last on."""
        left = list(kept)
        for layer in list(kept)[::-1][:_TAKEN_BACK]:
            fewer = [one for one in left if one is not layer]
            if fewer and self._loss(fewer) <= limit:
                left = fewer
        return left

    def _loss(self, stays: Sequence[Layer]) -> float:
        """Return what is lost if these layers stay float and the others are rounded."""
        key = frozenset(layer.name for layer in stays)
        if key not in self.losses:
            self.losses[key] = self.tried.once("lost", key, lambda: self.judge(self._graph(stays)))
            self._tell()
        return self.losses[key]

    def _alone(self, layer: Layer) -> float:
        """Return the relative error of the answers if this layer alone is rounded."""
        others = [one for one in self.layers if one is not layer]
        found = self.tried.once(
            "alone", [layer.name], lambda: math.sqrt(self.errors.of(self._graph(others)))
        )
        self._tell()
        return found

    def _graph(self, stays: Sequence[Layer]) -> onnx.ModelProto:
        placement = self.rounding.placement({one for layer in stays for one in layer.results})
        made = self.rounding.graph(placement)
        rounded = {*placement.weighted}
        means = {name: mean for name, mean in self.means.items() if name in rounded}
        subtract(made, self.rounding.model, means)
        return made

    def _tell(self) -> None:
        self.done += 1
        self.ctx.progress(min(self.done, self.total), self.total)


def _in_points(loss: float) -> str:
    return f"it loses {loss:.3g} points"


def _in_percent(loss: float) -> str:
    return f"the error is {loss:.3g} %"


class _Validation:
    """Judges a graph by what it loses of the main metric on validation samples, in points."""

    def __init__(self, model: onnx.ModelProto, ctx: PassContext, batch: int) -> None:
        self._ctx, self._batch = ctx, batch
        rows = ctx.validation(Answers(model, batch))
        self._reference = ctx.metric(rows)
        if not math.isfinite(self._reference):
            raise Unsupported("the metric of the validation samples is not a number")
        self.words = f"on {len(rows)} validation samples"

    def loss(self, graph: onnx.ModelProto) -> float:
        rows = self._ctx.validation(Answers(graph, self._batch))
        found = 100.0 * (self._reference - self._ctx.metric(rows))
        # A loss of exactly what is allowed is allowed, though a difference of floats may be above.
        return round(found, _DIGITS)


class _Errors:
    """The error of a graph's answers on some calibration samples, relative to the float ones.

    Where an operator may jump, as one that sorts detections does, what it reads is compared.
    """

    def __init__(self, model: onnx.ModelProto, whole: onnx.ModelProto, ctx: PassContext) -> None:
        given = list(pieces(model, ctx.calibration(SCORED)))
        self._samples = given
        self.batch = min(MOST, max((len(next(iter(one.values()))) for one in given), default=1))
        self._tensors = steady(model.graph, whole.graph)
        if not self._tensors or not given:
            raise Unsupported(
                'int8: keep = "auto" compares answers, and this graph has none that could be, or '
                "no calibration samples; name the layers to keep"
            )
        self._expected = _tensors(model, self._tensors, given)

    def of(self, graph: onnx.ModelProto) -> float:
        """Return |a-b|^2 / |b|^2, of the tensor that differs most; infinity for NaN."""
        answered = _tensors(graph, self._tensors, self._samples)
        worst = 0.0
        for place in range(len(self._tensors)):
            error = energy = 0.0
            for one, other in zip(self._expected, answered, strict=True):
                b, a = one[place].astype(np.float64), other[place].astype(np.float64)
                finite = np.isfinite(b)
                error += float(np.square(a[finite] - b[finite]).sum())
                energy += float(np.square(b[finite]).sum())
            if not math.isfinite(error):
                return math.inf
            worst = max(worst, error / energy if energy else 0.0)
        return worst

    def percent(self, graph: onnx.ModelProto) -> float:
        return 100.0 * self.of(graph)

    def words(self, reason: str) -> str:
        count = sum(len(next(iter(one.values()))) for one in self._samples)
        return (
            f"as |a-b|^2 / |b|^2 on {count} calibration samples, because there are none for "
            f"validation ({reason})"
        )


def _tensors(
    model: onnx.ModelProto, names: Sequence[str], samples: Sequence[Inputs]
) -> list[list[np.ndarray]]:
    """Return these tensors of `model`, for each of the samples."""
    import onnx

    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    known = {value.name: value for value in model.graph.output}
    del asked.graph.output[:]
    asked.graph.output.extend(known.get(name, onnx.ValueInfoProto(name=name)) for name in names)
    session = open_graph(asked)
    return [run_graph(session, one) for one in samples]


def _judged(layers: int) -> int:
    """Return how many whole graphs are judged for so many layers, at most."""
    return 1 + math.ceil(math.log2(layers + 1)) + _TAKEN_BACK


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %" if math.isfinite(share) else "more than all"

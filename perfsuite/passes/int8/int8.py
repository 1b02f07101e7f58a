"""INT8: post-training quantization with explicit Q/DQ pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypedDict

import msgspec

from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.sensitivity import Changeable
from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.export.left import mark_left
from perfsuite.passes.int8.calibration import check_fits, first_piece, ranges_of
from perfsuite.passes.int8.correction import correct_biases
from perfsuite.passes.int8.equalized import Equalized, equalized
from perfsuite.passes.int8.flattened import seen_by_readers
from perfsuite.passes.int8.guilty import CORRECTING, guilty
from perfsuite.passes.int8.layers import Layer, able, layers_of, named, single_names
from perfsuite.passes.int8.no_layers import is_double, why_none
from perfsuite.passes.int8.placement import place
from perfsuite.passes.int8.pooled import wide_enough
from perfsuite.passes.int8.prepare import prepared
from perfsuite.passes.int8.qdq import Scheme
from perfsuite.passes.int8.rounding import Rounding
from perfsuite.passes.int8.sharing import Placement
from perfsuite.passes.int8.unchanged import difference, steady

if TYPE_CHECKING:
    import onnx

AUTO = "auto"
_LARGEST = 1e30  # of a value that is rounded; masks hold the lowest float, or minus infinity
_FLOAT = "runs it in float: its weights are not constant, or there is no 8-bit kernel for it"
_NO_LAYER = "int8: the graph has no convolution or matrix product with constant float32 weights"
_PORTABLE_BITS = 7  # of weights: 2 * 255 * 63 is below 2^15
_ONE_OF_BOTH = "a layer is rounded or stays in float: take it out of one of both"
_COMPARED = 8  # samples on which a prepared graph must answer as before


class Int8(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Post-training INT8 for convolutions and matrix products with constant weights.

    Weights are symmetric and per output channel, activations per tensor with the range that they
    have on `calibration_samples` samples. Biases stay float and make up for the mean error of
    rounded weights; batch normalization is folded first, and channels that a depthwise convolution
    reads are scaled where their ranges differ much (`equalized.py`). The engine says how it wants
    the rest (`QuantizedGraphs`): the type of activations, whether every value between two operators
    is quantized, and how many bits weights may use.

    With `layers` only these are rounded, and those in `keep` stay float: module paths (also of a
    module that they are in), names of ONNX nodes, or patterns of either. With `keep = "auto"` the
    layers that lose most stay float, as few as are needed for a loss of at most `max_drop_points`
    on the task's validation samples (see `guilty.py`, also for tasks without any).

    A `portable` graph gives the same answers on every x86 processor: those without VNNI add two
    products of unsigned and signed bytes in 16 bits, which overflow unless weights have 7 bits.
    """

    calibration_samples: int = 256
    layers: tuple[str, ...] = ()
    keep: tuple[str, ...] | str = ()
    max_drop_points: float | None = None
    portable: bool = False

    version: ClassVar[int] = 25
    once: ClassVar[bool] = True  # what is INT8 already has nothing to round
    added: ClassVar[tuple[str, ...]] = ("layers", "keep", "max_drop_points", "portable")

    def __post_init__(self) -> None:
        if self.calibration_samples < 1:
            raise ValueError(
                f"calibration_samples is {self.calibration_samples}, but must be at least 1"
            )
        if isinstance(self.keep, str) and self.keep != AUTO:
            raise ValueError(
                f'keep is \'{self.keep}\'; give a list of layers, keep = ["{self.keep}"], or "auto"'
            )
        if both := [name for name in self.layers if self.keep != AUTO and name in self.keep]:
            raise ValueError(f"'{both[0]}' stands in `layers` and in `keep`; {_ONE_OF_BOTH}")
        if self.keep == AUTO and self.max_drop_points is None:
            raise ValueError('keep = "auto" needs max_drop_points, the loss that is allowed')
        if self.keep != AUTO and self.max_drop_points is not None:
            raise ValueError(
                'max_drop_points is for keep = "auto"; a budget of the suite judges what is lost'
            )
        if self.max_drop_points is not None and not self.max_drop_points >= 0.0:
            raise ValueError(f"max_drop_points is {self.max_drop_points}; it must be at least 0")

    @property
    def calibrates(self) -> int:
        """Return how many calibration samples are asked for."""
        return self.calibration_samples

    def resolve(self, target: Target) -> str:
        """Return, as text, all that the result owes to the target.

        Raises `Unsupported` for an engine that runs no quantized graphs.
        """
        told = msgspec.to_builtins(self._scheme(target))
        if not told["pairs_before_layers"]:  # which came later: keys without it stay as they were
            del told["pairs_before_layers"]
        return msgspec.json.encode(told).decode()

    @property
    def for_every_processor(self) -> bool:
        """Return whether the result is the same whatever the processor can."""
        return self.portable

    def apply(self, graph: onnx.ModelProto, ctx: PassContext) -> onnx.ModelProto:
        """Return `graph` with Q/DQ pairs; names, inputs, outputs and the `batch` axis stay.

        Raises `Unsupported` for a graph without anything to quantize, or that is quantized already,
        `BuildError` for NaN in calibration, `ConfigError` for names that no layer has, and when
        there are no calibration samples. Why layers were kept in float is written into the graph.
        """
        _require_float(graph)
        scheme = self._scheme(ctx.target)
        samples = self.calibration_samples
        few = first_piece(graph, ctx.calibration(min(samples, _COMPARED)))
        if few:
            check_fits(graph, few)
        asked = first_piece(
            graph, filter(None, [ctx.inputs])
        )  # none if the graph's batch is another one
        model = prepared(graph, [one for one in (asked, few) if one], scheme.float_operators)
        _require_layers(graph, place(model.graph, **_rules(scheme)), scheme)
        every = layers_of(graph, model) if self.layers or self.keep else []
        kept, stays = self._stays(every)
        model, limits = self._equalized(model, scheme, stays, few, ctx)
        placement = place(model.graph, **_rules(scheme), stays=stays)
        if not placement.weighted:
            raise Unsupported(self._nothing(ctx.target.runtime))
        ranges = ranges_of(
            model,
            [tensor for group in placement.groups for tensor in group],
            ctx.calibration(samples),
            lambda done: ctx.progress(min(done, samples), samples),
        )
        infinite = [name for name, found in ranges.items() if max(map(abs, found)) > _LARGEST]
        ranges |= dict.fromkeys(infinite, (0.0, 0.0))
        ranges = wide_enough(model.graph, seen_by_readers(model.graph, ranges, limits))
        rounding = Rounding(model, scheme, ranges, tuple(infinite), stays)
        placement = rounding.whole
        if not placement.weighted:
            raise Unsupported(f"int8: {_unroundable(infinite)}, so nothing can be quantized")
        if self.max_drop_points is not None:
            found = guilty(rounding, every, ctx, self.max_drop_points)
            placement, kept = rounding.placement(found.stays), found.left
        rounded = rounding.graph(placement)
        correct_biases(
            rounded, model, placement.weighted, ctx.calibration(min(samples, CORRECTING)), few
        )
        mark_left(rounded, kept)
        return rounded

    def changeable(self, graph: onnx.ModelProto, ctx: PassContext) -> Changeable:
        """Return the layers that are rounded without `layers` and `keep`, by the names they have.

        Raises `Unsupported` as `apply` does, also where there are no calibration samples.
        """
        _require_float(graph)
        scheme = self._scheme(ctx.target)
        next(ctx.calibration(_COMPARED), None)
        model = prepared(graph, [], scheme.float_operators)
        placement = place(model.graph, **_rules(scheme))
        _require_layers(graph, placement, scheme)
        every = layers_of(graph, model)
        rounded = list(able(every, placement.weighted))
        names = {layer.name for layer in rounded}
        others = (layer.name for layer in every if layer.name not in names)
        left = dict.fromkeys(others, f"{ctx.target.runtime} {_FLOAT}")
        return Changeable(tuple(single_names(rounded)), left)

    def _equalized(
        self,
        model: onnx.ModelProto,
        scheme: Scheme,
        stays: frozenset[str],
        few: Inputs | None,
        ctx: PassContext,
    ) -> Equalized:
        """Return the graph with scaled channels, if it answers a `few` samples as before."""
        made = equalized(model, scheme, stays, ctx.calibration(self.calibration_samples))
        compared = steady(model.graph, made.model.graph)
        if difference(model, made.model, [few] if few else [], compared):
            return Equalized(model, {})
        return made

    def _scheme(self, target: Target) -> Scheme:
        return scheme_of(target, portable=self.portable)

    def _stays(self, every: Sequence[Layer]) -> tuple[dict[str, str], frozenset[str]]:
        """Return why the layers in `keep` stay float, and the results of all that do.

        Raises `ConfigError` for names that no layer has, and for one of `layers` whose layers all
        stand in `keep`.
        """
        rounded = named(every, self.layers, "layers") if self.layers else list(every)
        kept = [] if isinstance(self.keep, str) else named(every, self.keep, "keep")
        for index, pattern in enumerate(self.layers):
            meant = [one for one in rounded if one.is_named(pattern)]
            if all(one in kept for one in meant):
                more = f" and {len(meant) - 1} more" if len(meant) > 1 else ""
                raise ConfigError(
                    f"int8: layers[{index}]: '{pattern}' names '{meant[0].name}'{more}, and `keep` "
                    f"does, too; {_ONE_OF_BOTH}"
                )
        stay = [one for one in every if one not in rounded or one in kept]
        results = frozenset(result for one in stay for result in one.results)
        return {one.name: "as the recipe asks for" for one in kept}, results

    def _nothing(self, runtime: str) -> str:
        asked = [f"layers = {list(self.layers)}"] * bool(self.layers)
        asked += [f"keep = {list(self.keep)}"] * (self.keep != AUTO and bool(self.keep))
        return (
            f"int8: with {' and '.join(asked)} nothing is left that could be rounded on {runtime}: "
            f"it rounds convolutions and matrix products with constant float32 weights"
        )


def _require_float(graph: onnx.ModelProto) -> None:
    from perfsuite.export.own_precision import own_precisions

    if "int8" in own_precisions(graph).values:
        raise Unsupported(
            "int8: the graph is INT8 already (it rounds its values to 8 bits); time it as it is, "
            "with recipe fp32, or give the float model that it was made from"
        )
    if is_double(graph):  # which not every engine runs, so that it cannot even be prepared
        raise Unsupported(f"{_NO_LAYER}{why_none(graph)}")


def _unroundable(infinite: Sequence[str]) -> str:
    """Return why no layer has what 8 bits can hold, if some read `infinite` tensors."""
    if not infinite:
        return "what the layers read, or their weights, is too small for 8 bits to have a scale"
    return (
        f"what the layers read is infinite, or empty, on the calibration samples "
        f"({', '.join(infinite)})"
    )


class _Rules(TypedDict):
    sum_in_accumulator: bool
    float_operators: tuple[str, ...]


def _rules(scheme: Scheme) -> _Rules:
    return {
        "sum_in_accumulator": scheme.sum_in_accumulator,
        "float_operators": scheme.float_operators,
    }


def _require_layers(graph: onnx.ModelProto, placement: Placement, scheme: Scheme) -> None:
    if not placement.weighted:
        there = {node.op_type for node in graph.graph.node}
        floats = sorted(there.intersection(scheme.float_operators))
        more = f"; {' and '.join(floats)} run in float there" if floats else ""
        raise Unsupported(f"{_NO_LAYER}{why_none(graph)}{more}")


def scheme_of(target: Target, *, portable: bool = False) -> Scheme:
    """Return how values are quantized for `target`; `Unsupported` where its engine runs none.

    Two products of signed bytes fit into 16 bits, so that `portable` ones need no narrower weights.
    """
    wanted = target.quantized
    if wanted is None:
        raise Unsupported(
            f"int8: {target.runtime} runs no quantized graphs on {target.device}; an engine that "
            f"does says how it wants them: give the runtime a method quantized_graphs(device) that "
            f"returns a perfsuite.QuantizedGraphs"
        )
    signed = wanted.activations == "int8"
    bits = _PORTABLE_BITS if portable and not signed else wanted.weight_bits
    return Scheme(
        signed=signed,
        weight_limit=2 ** (bits - 1) - 1,
        sum_in_accumulator=wanted.sum_in_accumulator,
        float_operators=wanted.float_operators,
        pairs_before_layers=wanted.pairs_before_layers,
    )

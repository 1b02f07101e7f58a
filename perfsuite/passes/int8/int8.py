"""INT8: post-training quantization with explicit Q/DQ pairs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import msgspec

from perfsuite.domain.recipe import PassContext, Target
from perfsuite.errors import Unsupported
from perfsuite.passes.int8.calibration import first_piece, ranges_of
from perfsuite.passes.int8.correction import correct_biases
from perfsuite.passes.int8.placement import place, without
from perfsuite.passes.int8.prepare import prepared
from perfsuite.passes.int8.qdq import Scheme, insert

if TYPE_CHECKING:
    import onnx

_CORRECTING = 64  # samples from which means are taken
_LARGEST = 1e30  # of a value that is rounded; masks hold the lowest float, or minus infinity
_COMPARED = 8  # samples on which a prepared graph must answer as before


class Int8(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Post-training INT8 for convolutions and matrix products with constant weights.

    Weights are symmetric and per output channel, activations per tensor with the range that they
    have on `calibration_samples` samples. Biases stay float and make up for the mean error of
    rounded weights; batch normalization is folded first. The engine says how it wants the rest
    (`QuantizedGraphs`): the type of activations, whether every value between two operators is
    quantized, and how many bits weights may use.
    """

    calibration_samples: int = 256

    version: ClassVar[int] = 5
    once: ClassVar[bool] = True  # what is INT8 already has nothing to round

    def __post_init__(self) -> None:
        if self.calibration_samples < 1:
            raise ValueError(
                f"calibration_samples is {self.calibration_samples}, but must be at least 1"
            )

    @property
    def calibrates(self) -> int:
        """Return how many calibration samples are asked for."""
        return self.calibration_samples

    def resolve(self, target: Target) -> str:
        """Return, as text, all that the result owes to the target.

        Raises `Unsupported` for an engine that runs no quantized graphs.
        """
        return msgspec.json.encode(scheme_of(target)).decode()

    def apply(self, graph: onnx.ModelProto, ctx: PassContext) -> onnx.ModelProto:
        """Return `graph` with Q/DQ pairs; names, inputs, outputs and the `batch` axis stay.

        Raises `Unsupported` for a graph without anything to quantize, or that is quantized already,
        `BuildError` for NaN in calibration, `ConfigError` when there are no
        calibration samples.
        """
        from perfsuite.export.own_precision import own_precisions

        if "int8" in own_precisions(graph).values:
            raise Unsupported(
                "int8: the graph is INT8 already (it rounds its values to 8 bits); time it as it "
                "is, with recipe fp32, or give the float model that it was made from"
            )
        scheme = scheme_of(ctx.target)
        samples = self.calibration_samples
        few = first_piece(graph, ctx.calibration(min(samples, _COMPARED)))
        asked = first_piece(
            graph, filter(None, [ctx.inputs])
        )  # none if the graph's batch is another one
        model = prepared(graph, [one for one in (asked, few) if one])
        placed = partial(
            place,
            model.graph,
            sum_in_accumulator=scheme.sum_in_accumulator,
            float_operators=scheme.float_operators,
        )
        placement = placed()
        if not placement.weighted:
            raise Unsupported(
                "int8: the graph has no convolution or matrix product with constant float32 "
                "weights, so there is nothing to quantize"
            )
        ranges = ranges_of(
            model,
            [tensor for group in placement.groups for tensor in group],
            ctx.calibration(samples),
            lambda done: ctx.progress(min(done, samples), samples),
        )
        infinite = [name for name, found in ranges.items() if max(map(abs, found)) > _LARGEST]
        ranges |= dict.fromkeys(infinite, (0.0, 0.0))
        placement = without(placed(ranges=ranges), model.graph, infinite)
        if not placement.weighted:
            raise Unsupported(
                f"int8: what the layers read is infinite on the calibration samples "
                f"({', '.join(infinite)}), so nothing can be quantized"
            )
        rounded = type(model)()
        rounded.CopyFrom(model)
        insert(rounded.graph, placement, ranges, scheme)
        correct_biases(
            rounded, model, placement.weighted, ctx.calibration(min(samples, _CORRECTING))
        )
        return rounded


def scheme_of(target: Target) -> Scheme:
    """Return how values are quantized for `target`; `Unsupported` where its engine runs none."""
    wanted = target.quantized
    if wanted is None:
        raise Unsupported(
            f"int8: {target.runtime} runs no quantized graphs on {target.device}; an engine that "
            f"does says how it wants them: give the runtime a method quantized_graphs(device) that "
            f"returns a perfsuite.QuantizedGraphs"
        )
    return Scheme(
        signed=wanted.activations == "int8",
        weight_limit=2 ** (wanted.weight_bits - 1) - 1,
        sum_in_accumulator=wanted.sum_in_accumulator,
        float_operators=wanted.float_operators,
    )

"""Multiply-accumulates and parameters of a model: of an ONNX graph, or of a torch module.

Operators that could not be counted are listed in the result.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError
from perfsuite.export.aten_operators import counted
from perfsuite.export.binary_torch import packed_parameters
from perfsuite.export.calls import called
from perfsuite.export.counting import count_nodes, together
from perfsuite.export.linked import load_whole
from perfsuite.export.parameters import weights

if TYPE_CHECKING:
    import onnx
    from torch import nn


class Macs(msgspec.Struct, frozen=True):
    """MACs, parameters, and the number of nodes of each operator that has no formula here."""

    macs: int
    parameters: int
    uncounted: dict[str, int]


def count_graph(model: Path | str | onnx.ModelProto, inputs: Inputs | None = None) -> Macs:
    """Return the MACs of a call with `inputs` and the parameters.

    Give inputs of batch 1 for the MACs of one sample; without inputs every open axis is 1. Where
    sizes, branches or loops depend on values the graph is run once, with `inputs`: what ran is
    counted. Parameters are the elements of all weights and biases, quantized or not, each counted
    once; indices, shapes, scales, zero points, running statistics and scalars are not counted. A
    node without a formula, or whose size cannot be known, is `uncounted`. Raises `ConfigError` for
    a file that is no ONNX model.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if not isinstance(model, onnx.ModelProto):
        try:
            model = load_whole(Path(model))
        except (OSError, DecodeError) as err:
            raise ConfigError(f"{model}: cannot be read as an ONNX model: {err}") from err
    if not model.ir_version:
        raise ConfigError("this is not an ONNX model: it has no IR version (an empty file?)")
    graph, counts = count_nodes(model, inputs)
    found = together(counts)
    parameters = sum(elements for elements, _ in weights(graph.graph).values())
    return Macs(found.macs, parameters, dict(found.uncounted))


def count_module(module: nn.Module, inputs: Inputs) -> Macs:
    """Return the MACs of one call with `inputs`, in their order, and the parameters.

    Give inputs of batch 1 for the MACs of one sample. What ran and may compute, but has
    no formula, is `uncounted`. The module runs once in evaluation mode and is left as it was.
    """
    import torch

    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad(), counted() as count:
            called(module, inputs)
    finally:
        for part, training in modes:
            part.training = training
    parameters = sum(tensor.numel() for tensor in module.parameters())
    parameters += sum(map(packed_parameters, module.modules()))
    return Macs(count.macs, parameters, dict(count.uncounted))

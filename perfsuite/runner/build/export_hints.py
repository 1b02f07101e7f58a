"""What to change in a net of which an operator or a layer has no graph that engines run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

# What is said of an operator that the exporter cannot write, of a node that ONNX Runtime fails in,
# and of a loop that OpenVINO does not read.
_ROLL, _RECURRENT, _LOOP = "aten_roll", "LSTM node", "input type dynamic"


def layer_hint(module: nn.Module, refusal: str) -> str:
    """Return what to change, by the layers of `module` and what was said of it; '' if unknown."""
    from torch import nn

    if _ROLL in refusal:
        return (
            "a torch.roll, which torch.fft.fftshift and ifftshift make, moves the batch's axis "
            "too, so that samples change places: name the others, such as dim=(-2, -1)"
        )
    for path, part in module.named_modules():
        told = _RECURRENT in refusal or f"({path}/" in refusal  # of one of its nodes
        if told and isinstance(part, nn.LSTM) and part.proj_size:
            return (
                f"'{path}' is an LSTM with proj_size, which ONNX's has not: take hidden_size alone "
                f"and train it so, or write its steps as layers of their own. The runtime pytorch "
                f"takes it as it is"
            )
        if _LOOP in refusal and isinstance(part, nn.EmbeddingBag):
            return (
                f"'{path}' is an EmbeddingBag, which a graph has as a loop over bags that not "
                f"every engine runs: where all bags are as long, an Embedding and its sum, mean or "
                f"maximum over them is the same"
            )
    return ""

"""From a real-valued net to one whose activations, and then whose weights, are binary."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.errors import Unsupported
from perfsuite.passes.binarize.binarizable import Sites, geometry_of
from perfsuite.passes.binarize.modules import (
    Geometry,
    block,
    is_latent,
    latent_convolution,
    shifted_prelu,
)
from perfsuite.passes.shared.invocation import call, first_line
from perfsuite.training.averaging import norms_of, settling
from perfsuite.training.plan import SgdPlan
from perfsuite.training.steps import begin

if TYPE_CHECKING:
    import torch
    from torch import nn

_SETTLING = 8  # batches, over which the statistics of norms are taken before training


def with_binary_activations(model: nn.Module, sites: Sites) -> nn.Module:
    """Return `model` with binary convolutions whose weights are real: what the first step trains.

    Thresholds are 0, and statistics of norms those of the real-valued net: see `settle`.
    """
    return with_blocks(model, sites, latent_convolution)


def check_runs(model: nn.Module, inputs: Inputs) -> None:
    """Raise `Unsupported` for a net whose code does without the layers that were replaced."""
    try:
        call(model, inputs)
    except Exception as error:  # whatever a user's module raises
        raise Unsupported(
            f"binarize: with binary convolutions the model fails ({first_line(error)}): its code "
            f"reads what only the layers themselves have; leave them out (layers = [...])"
        ) from error


def with_blocks(
    model: nn.Module, sites: Sites, make: Callable[[nn.Conv2d, Geometry], nn.Module]
) -> nn.Module:
    """Return `model` with blocks and activations in the places of `sites`.

    `make` gives what takes the place of a convolution in its block.
    """
    for path, site in sites.layers.items():
        layer: Any = model.get_submodule(path)
        geometry = geometry_of(layer)
        if geometry is None:
            raise ValueError(f"{path} pads unevenly")
        norm = None if site.norm is None else _taken(model, site.norm)
        model.set_submodule(path, block(make(layer, geometry), norm, site.shortcut))
    for path, channels in sites.activations.items():
        device = next(model.parameters()).device
        model.set_submodule(path, shifted_prelu(channels).to(device))
    return model


def with_binary_weights(model: nn.Module) -> nn.Module:
    """Return `model`, which the first step has trained, with binary weights: what the second does.

    Weights are cut to [-1, 1], where gradients reach them.
    """
    import torch

    for convolution in latent_convolutions(model).values():
        convolution.binary_weights = True
        with torch.no_grad():
            convolution.weight.clamp_(-1, 1)
    return model


def latent_convolutions(model: nn.Module) -> dict[str, Any]:
    """Return the binary convolutions of a net in training, by path."""
    return {path: one for path, one in model.named_modules() if is_latent(one)}


def settle(model: nn.Module, data: TrainingSet, plan: SgdPlan) -> None:
    """Give each threshold the mean of its channel, and each norm its statistics, over samples.

    These are training samples as `plan` would have them, so that of a channel that is never
    negative, as after a ReLU, not all signs are alike.
    """
    import torch

    alone = msgspec.structs.replace(plan, teacher=0.0, bf16=False)
    training = begin(model, data, alone, None, None)
    batches = itertools.islice(training.batches(0), 1 + _SETTLING)
    model.train()
    with torch.no_grad():
        with _thresholds_from(model):
            training.loss(*next(batches), alone=True)
        with settling(norms_of(model)):
            for inputs, targets in batches:
                training.loss(inputs, targets, alone=True)
    model.eval()


def settle_untrained(model: nn.Module, inputs: Inputs) -> None:
    """Give each threshold the mean of its channel over `inputs`; norms stay as they are."""
    with _thresholds_from(model):
        call(model, inputs)


@contextmanager
def _thresholds_from(model: nn.Module) -> Iterator[None]:
    """Set each threshold to the mean of its channel in the next call of its convolution."""
    import torch

    def take(convolution: Any, given: tuple[torch.Tensor, ...]) -> None:
        with torch.no_grad():
            convolution.threshold.copy_(given[0].float().mean(dim=(0, 2, 3)))

    with ExitStack() as stack:
        for convolution in latent_convolutions(model).values():
            stack.callback(convolution.register_forward_pre_hook(take).remove)
        yield


def _taken(model: nn.Module, path: str) -> nn.Module:
    """Return the module at `path`, in whose place nothing is done from now on."""
    from torch import nn

    found = model.get_submodule(path)
    model.set_submodule(path, nn.Identity())
    return found

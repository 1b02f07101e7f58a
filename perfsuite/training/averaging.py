"""The mean of a net's weights over a training, and the statistics of norms that fit it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from torch.nn.modules.batchnorm import _BatchNorm


class WeightAverage:
    """The mean of the parameters of a net at several times (Izmailov et al. 2018, algorithm 1)."""

    def __init__(self, module: nn.Module) -> None:
        """Begin with no weights taken in."""
        from torch.optim.swa_utils import AveragedModel

        self._averaged = AveragedModel(module)

    def add(self, module: nn.Module) -> None:
        """Add the parameters that `module` has now to the mean."""
        self._averaged.update_parameters(module)

    def give(self, module: nn.Module) -> None:
        """Set the parameters of `module` to the mean; its buffers stay."""
        import torch

        with torch.no_grad():
            for mine, mean in zip(
                module.parameters(), self._averaged.module.parameters(), strict=True
            ):
                mine.copy_(mean)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must store to go on with the mean."""
        return self._averaged.state_dict()

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a stored `state`; raise `RuntimeError` for that of another net."""
        self._averaged.load_state_dict(state)


def norms_of(module: nn.Module) -> list[_BatchNorm]:
    """Return the batch normalizations of a net that have running statistics."""
    from torch.nn.modules.batchnorm import _BatchNorm

    found = (one for one in module.modules() if isinstance(one, _BatchNorm))
    return [norm for norm in found if norm.track_running_stats]


@contextmanager
def settling(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Set the norms' statistics to their plain mean over the calls within the context.

    A norm that is not called keeps its statistics.
    """
    before = [(norm.momentum, norm.training, copy.deepcopy(norm.state_dict())) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
        norm.train()
    try:
        yield
    finally:
        for norm, (momentum, training, state) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.train(training)
            if not norm.num_batches_tracked:
                norm.load_state_dict(state)

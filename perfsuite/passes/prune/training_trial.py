"""Trial cuts in training mode: some code runs only there, such as an auxiliary head.

A net is followed in evaluation mode, so what such code reads keeps its channels, and fine-tuning
would fail once the layers before it are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.domain.task import TrainingSet
from perfsuite.export.calls import call_one
from perfsuite.passes.prune.channels import Group
from perfsuite.passes.prune.surgery import cut
from perfsuite.passes.shared.invocation import copied, first_line

if TYPE_CHECKING:
    from torch import nn

_SAMPLES = 2  # the fewest that batch normalization takes while it trains


def untrainable(model: nn.Module, groups: Sequence[Group], data: TrainingSet) -> dict[str, str]:
    """Return the groups without whose channels the model cannot be trained, with the reason.

    All groups are tried at once; if that fails, each is tried alone, and then together with those
    before it. If the whole model cannot be trained either, training will say so, and there are
    none.
    """

    def failure(some: Sequence[Group]) -> str:
        return _failure(model, some, data)

    if not groups or failure([]) or not failure(groups):
        return {}
    refused = {group.name: why for group in groups if (why := failure([group]))}
    good: list[Group] = []
    for group in groups:
        if group.name in refused:
            continue
        if why := failure([*good, group]):
            refused[group.name] = why
        else:
            good.append(group)
    return refused


def _failure(model: nn.Module, groups: Sequence[Group], data: TrainingSet) -> str:
    """Return what goes wrong in a step of training without half of the channels; '' if nothing."""
    import torch

    smaller = copied(model)
    cut(smaller, groups, {group.name: list(range(0, group.width, 2)) for group in groups})
    smaller.train()
    rng = np.random.default_rng(0)
    prepared = data.prepare(data.inputs[:_SAMPLES], rng)
    inputs, targets = torch.from_numpy(prepared), torch.from_numpy(data.targets[:_SAMPLES])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            if data.loss is not None:
                data.loss(smaller, inputs, targets)
            else:
                call_one(smaller, inputs)
        except Exception as error:  # noqa: BLE001 - a module may raise anything; it is the reason
            return (
                f"code that runs only in training mode reads its channels, and fails without some "
                f"of them ({first_line(error)})"
            )
    return ""

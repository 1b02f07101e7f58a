"""How long a training will take, from the time of a few of its steps."""

from __future__ import annotations

import time
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

from perfsuite.domain.task import TrainingSet
from perfsuite.export.state import duplicate
from perfsuite.training.plan import SgdPlan
from perfsuite.training.steps import Training, begin
from perfsuite.training.teaching import Teaching

if TYPE_CHECKING:
    from torch import nn

_TIMED = 3  # steps for each size of pictures, after one that is not counted


def training_s(
    module: nn.Module,
    data: TrainingSet,
    plan: SgdPlan,
    teacher: nn.Module | None = None,
    teaching: Teaching | None = None,
) -> float:
    """Return about how many seconds the whole training by `plan` takes on this machine.

    Some steps are done with a copy of `module`, for each size that pictures have in the plan; the
    module and torch's generator stay as they are. What is written and reported after epochs is not
    counted. Raises what `train` raises for data or nets that cannot be trained.
    """
    import torch

    copy = duplicate(module)
    with torch.random.fork_rng(devices=[]):
        training = begin(copy, data, plan, teacher if plan.teacher > 0 else None, teaching)
        for group in training.optimizer.param_groups:
            group["lr"] = 0.0  # the weights stay finite, however often a step is done
        copy.train()
        sizes = [plan.size_at(epoch) for epoch in range(plan.epochs)]
        return sum(
            epochs * training.steps * _step_s(training, sizes.index(size))
            for size, epochs in Counter(sizes).items()
        )


def in_words(seconds: float) -> str:
    """Return a duration as people say it: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, rest = divmod(round(minutes / 10) * 10, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def _step_s(training: Training, epoch: int) -> float:
    """Return the seconds that a step of `epoch` takes, its batch included."""
    batches = training.batches(epoch)
    times_s: list[float] = []
    while len(times_s) <= _TIMED:
        began_s = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            break
        loss, _ = training.loss(*batch)
        float(loss.detach())  # a card is waited for, as in the training
        training.descend(loss)
        times_s.append(time.perf_counter() - began_s)
    return median(times_s[1:] or times_s)

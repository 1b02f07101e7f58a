"""The loss of a classifier: against the labels, and against the answers of a teacher."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from perfsuite.errors import Unsupported
from perfsuite.export.calls import call_one
from perfsuite.training.plan import SgdPlan
from perfsuite.training.teaching import Teaching

if TYPE_CHECKING:
    import torch
    from torch import nn


def classifying(
    module: nn.Module,
    teacher: nn.Module | None,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    plan: SgdPlan,
    teaching: Teaching | None = None,
) -> tuple[torch.Tensor, float]:
    """Return the loss of `module`, and the loss of a net whose scores are equal for all classes.

    The loss is (1 - w) * cross entropy with the labels + w * distance from the teacher's scores,
    where w is `plan.teacher`, 0 without a teacher, and the distance is that of `teaching`, by
    default Hinton's at a temperature of 4. Scores are of shape (batch, classes, ...). Means are
    over the batch, and in float32 whatever the nets' precision. Raises `Unsupported` for a net that
    answers no tensor.
    """
    import torch
    from torch.nn.functional import cross_entropy

    # A copy, because its forward may change its input, which is the teacher's, too.
    scores = _scores(module, inputs if teacher is None else inputs.clone())
    loss = cross_entropy(scores, labels.long(), label_smoothing=plan.label_smoothing)
    blind = log(scores.shape[1])
    if teacher is None:
        return loss, blind
    with torch.no_grad():
        wanted = _scores(teacher, inputs)
    distance, blind_distance = (teaching or Teaching()).distance(scores, wanted, labels)
    weight = plan.teacher
    return (
        (1 - weight) * loss + weight * distance,
        (1 - weight) * blind + weight * blind_distance,
    )


def _scores(module: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Return what `module` answers, in float32."""
    import torch

    scores = call_one(module, inputs)
    if not isinstance(scores, torch.Tensor):
        raise Unsupported(
            f"training: the loss of a net that answers a {type(scores).__name__} is not known; "
            f"give its training set a loss (TrainingSet.loss)"
        )
    return scores.float()

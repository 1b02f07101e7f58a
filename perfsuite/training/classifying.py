"""The loss of a classifier: against the labels, and against the answers of a teacher."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from perfsuite.errors import Unsupported
from perfsuite.training.plan import SgdPlan

if TYPE_CHECKING:
    import torch
    from torch import nn

TEMPERATURE = 4.0  # divides scores, so that small probabilities count too


def classifying(
    module: nn.Module,
    teacher: nn.Module | None,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    plan: SgdPlan,
) -> tuple[torch.Tensor, float]:
    """Return the loss of `module`, and the loss of a net whose scores are equal for all classes.

    The loss is (1 - w) * cross entropy with the labels + w * T^2 * KL(teacher || module), where w
    is `plan.teacher`, 0 without a teacher. In the second term both nets' scores, of shape (batch,
    classes, ...), are divided by T = 4, and T^2 scales its gradients to the size of the first
    term's (Hinton, Vinyals and Dean 2015, arXiv:1503.02531). Means are over the batch, and in
    float32 whatever the nets' precision. Raises `Unsupported` for a net that answers no tensor.
    """
    import torch
    from torch.nn.functional import cross_entropy

    # A copy, because its forward may change its input, which is the teacher's, too.
    scores = module(inputs if teacher is None else inputs.clone())
    if not isinstance(scores, torch.Tensor):
        raise Unsupported(
            f"training: the loss of a net that answers a {type(scores).__name__} is not known; "
            f"give its training set a loss (TrainingSet.loss)"
        )
    scores = scores.float()
    loss = cross_entropy(scores, labels.long(), label_smoothing=plan.label_smoothing)
    blind = log(scores.shape[1])
    if teacher is None:
        return loss, blind
    with torch.no_grad():
        wanted = torch.log_softmax(teacher(inputs).float() / TEMPERATURE, dim=1)
        negative_entropy = (wanted.exp() * wanted).sum(dim=1).mean()
    answered = torch.log_softmax(scores / TEMPERATURE, dim=1)
    distance = negative_entropy - (wanted.exp() * answered).sum(dim=1).mean()
    weight, softened = plan.teacher, TEMPERATURE**2
    return (
        (1 - weight) * loss + weight * softened * distance,
        (1 - weight) * blind + weight * softened * (float(negative_entropy) + blind),
    )

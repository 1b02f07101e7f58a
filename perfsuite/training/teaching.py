"""How far a student's scores are from its teacher's: by Hinton 2015, or decoupled by Zhao 2022."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    import torch

Kind = Literal["kd", "dkd"]


class Teaching(msgspec.Struct, frozen=True):
    """The distance of a student's scores from its teacher's, in the loss of a classifier.

    Both nets' scores are divided by `temperature`, so that small probabilities count too, and its
    square scales the gradients to the size of the cross entropy's.

    - `kd` is the divergence of Kullback and Leibler from the teacher's probabilities to the
      student's (Hinton, Vinyals and Dean 2015, arXiv:1503.02531).
    - `dkd` is `alpha` times the divergence of how probable the right class is, plus `beta` times
      that of the probabilities of the others among themselves (Zhao et al. 2022, arXiv:2203.08679).
      In `kd` the second weighs little where the teacher is sure.
    """

    kind: Kind = "kd"
    temperature: float = 4.0
    alpha: float = 1.0
    beta: float = 8.0

    def __post_init__(self) -> None:
        if not 0.0 < self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}; it must be above 0")
        for name in ("alpha", "beta"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0")
        if self.kind == "kd" and (self.alpha, self.beta) != (1.0, 8.0):
            raise ValueError("alpha and beta are for kind 'dkd'")

    def distance(
        self, scores: torch.Tensor, wanted: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, float]:
        """Return the distance of `scores` from those `wanted`, and that of equal scores.

        Scores are float32 of shape (batch, classes, ...), labels the right classes of shape
        (batch, ...). The result is the mean over the batch and all places.
        """
        import torch

        scores, wanted = scores / self.temperature, wanted / self.temperature
        if self.kind == "kd":
            loss, blind = _divergence(scores, wanted)
        else:
            target = labels.long().unsqueeze(1)
            loss = self._decoupled(scores, wanted, target)
            with torch.no_grad():
                blind = float(self._decoupled(torch.zeros_like(scores), wanted, target))
        squared = self.temperature**2
        return squared * loss, squared * blind

    def _decoupled(
        self, scores: torch.Tensor, wanted: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        mine, theirs = _parts(scores, target), _parts(wanted, target)
        right = _terms(theirs.right, mine.right) + _terms(theirs.wrong, mine.wrong)
        # Of the right class both logarithms are 0 here, and so is its term.
        others = _terms(theirs.others, mine.others).sum(dim=1, keepdim=True)
        return (self.alpha * right + self.beta * others).mean()


def _divergence(scores: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return the divergence of the probabilities, and that of a net whose scores are all equal."""
    import torch

    log_wanted = torch.log_softmax(wanted, dim=1)
    negative_entropy = (log_wanted.exp() * log_wanted).sum(dim=1).mean()
    answered = torch.log_softmax(scores, dim=1)
    loss = negative_entropy - (log_wanted.exp() * answered).sum(dim=1).mean()
    return loss, float(negative_entropy) + math.log(scores.shape[1])


class _Parts(NamedTuple):
    """Logarithms of probabilities: of the right class, of all others together, and among these."""

    right: torch.Tensor  # (batch, 1, ...)
    wrong: torch.Tensor  # (batch, 1, ...)
    others: torch.Tensor  # (batch, classes, ...), 0 in the place of the right class


def _parts(scores: torch.Tensor, target: torch.Tensor) -> _Parts:
    whole = scores.logsumexp(dim=1, keepdim=True)
    without = scores.scatter(1, target, -math.inf)
    rest = without.logsumexp(dim=1, keepdim=True)
    among = (without - rest).scatter(1, target, 0.0)
    return _Parts(scores.gather(1, target) - whole, rest - whole, among)


def _terms(theirs: torch.Tensor, mine: torch.Tensor) -> torch.Tensor:
    """Return the summands of a divergence, from the logarithms of probabilities."""
    return theirs.exp() * (theirs - mine)

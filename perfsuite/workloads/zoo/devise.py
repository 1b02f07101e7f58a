"""CIFAR-10's pictures are named by words; two of the ten labels are never seen in training.

The net has a small VGG of its own, because that of `vgg16-cifar10` was trained with all ten labels.
The unseen labels are cat and truck, as in Socher et al. 2013 (arXiv:1301.3666), since each is
similar to one of the other eight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.data import cifar10, words
from perfsuite.data.images import how_normalized, normalized, shifted_and_flipped
from perfsuite.domain.model import Model, Stage
from perfsuite.domain.task import (
    KEPT_FOR_CALIBRATION,
    Outputs,
    RowsMetric,
    SubsetMetric,
    TrainingSet,
)
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.training.loop import SgdPlan
from perfsuite.workloads.tasks.classification import Classification
from perfsuite.workloads.zoo import weights

if TYPE_CHECKING:
    from torch import Tensor, nn

UNSEEN = (3, 9)  # cat and truck: never seen with a label
SEEN = tuple(label for label in range(10) if label not in UNSEEN)
TEMPERATURE = 0.05  # of similarities, in training

PLAN = SgdPlan(epochs=18, sizes=((0, 16), (7, 24), (13, 32)), cutouts=((13, 8),))


# The columns of the rows.
BEFORE, ANSWER, LABEL, IS_SEEN, IS_UNSEEN = range(5)


@cache
def _load(split: str) -> cifar10.Samples:
    """Return the samples of `split`: of all labels for testing and validation, else of seen ones.

    As calibration skips those of unseen labels, its first ones reach further into the held-out
    pictures; validation begins after them.
    """
    if split == "test":
        return cifar10.load(split)
    samples = cifar10.load("calibration" if split == "validation" else split)
    seen = np.flatnonzero(np.isin(samples.labels, SEEN))
    if split == "validation":
        begin = int(seen[KEPT_FOR_CALIBRATION])
        return cifar10.Samples(samples.images[begin:], samples.labels[begin:])
    return cifar10.Samples(samples.images[seen], samples.labels[seen])


@dataclass(frozen=True)
class Naming(Classification):
    """Naming of pictures: right if the word of the label is the best, or among the best.

    For a picture of an unseen label, the words of seen labels are left out, as in Frome et al.,
    section 4.2.
    """

    def train(self) -> TrainingSet:
        """Return the training pictures, with `naming_loss`."""
        return super().train()._replace(loss=naming_loss)

    def right(self, rows: np.ndarray) -> np.ndarray:
        """Return for which pictures no word is more similar than the label's."""
        return np.asarray(rows[:, BEFORE] < 1)

    def answer_rows(self, outputs: Outputs, labels: np.ndarray) -> np.ndarray:
        """Return (N, 5) rows: words before the right one, the answer, the label, seen, unseen.

        Words are numbered as in the table, in which the names of labels come first.
        """
        seen = np.isin(labels, SEEN)
        among_all, among_unseen = ranked(outputs, labels, ()), ranked(outputs, labels, SEEN)
        rows = np.where(seen[:, None], among_all, among_unseen)
        return np.column_stack([rows, seen, ~seen]).astype(np.float64)

    def metrics(self) -> Mapping[str, RowsMetric]:
        """Return, for seen labels, the shares of pictures whose word is the best and among the best
        five; for unseen labels, the share whose word is the best.
        """
        return {
            "hit1": SubsetMetric(IS_SEEN, partial(hit, within=1)),
            "hit5": SubsetMetric(IS_SEEN, partial(hit, within=5)),
            "zero_shot_hit1": SubsetMetric(IS_UNSEEN, partial(hit, within=1)),
        }


def hit(rows: np.ndarray, within: int) -> float:
    """Return the share of pictures whose word is among the `within` best."""
    return float((rows[:, BEFORE] < within).mean())


def ranked(outputs: Outputs, labels: np.ndarray, ruled_out: tuple[int, ...]) -> np.ndarray:
    """Return float64 (N, 3): how many words are more similar than the label's, the most similar
    word as the answer, and the label.

    The words `ruled_out` are no answers. Raises `ConfigError` unless the first output has a
    similarity for each word.
    """
    similar = np.array(outputs[0], np.float64)
    known = len(words.load().names)
    if similar.shape != (len(labels), known):
        raise ConfigError(
            f"the model's first output has the shape {similar.shape}; naming needs a similarity of "
            f"each of {len(labels)} pictures with each of {known} words"
        )
    similar[:, list(ruled_out)] = -np.inf
    own = similar[np.arange(len(labels)), labels]
    before = (similar > own[:, None]).sum(1)
    return np.stack([before, similar.argmax(1), labels], axis=1).astype(np.float64)


def naming_loss(module: Any, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of one minus the cosine between pictures and the words of their labels, plus
    the cross-entropy of the softmax over the words of all seen labels.

    Frome et al. train their features with a softmax first and then use a hinge loss on ranks; here
    both terms are used from the start. The words of unseen labels are not used.
    """
    import torch
    from torch.nn import functional

    similar = module(images).float()
    own = labels.long()[:, None]
    seen = torch.tensor(SEEN, device=own.device)
    place = (seen == own).long().argmax(1)
    apart = functional.cross_entropy(similar[:, seen] / TEMPERATURE, place)
    near: Tensor = (1 - similar.gather(1, own)).mean()
    return apart + near


def net() -> nn.Module:
    """Return the net without its weights."""
    from perfsuite.models.devise import devise as build

    return build(words.directions())


def devise() -> Workload:
    """Return `devise`, judged on pictures of seen labels and on those of unseen ones."""

    def build() -> nn.Module:
        return weights.load(net(), weights.FOLDER / "devise.safetensors")

    task = Naming(
        _load,
        normalized,
        shifted_and_flipped,
        identity=f"{cifar10.fingerprint()} {words.DIGEST} {SEEN} {UNSEEN}",
        has_validation=True,
        declared=how_normalized(32, 32),
        names=words.load().names,
    )
    stages = (
        Stage("features", ("features", "flatten")),
        Stage("project", ("project",)),
        Stage("compare", ("compare",)),
    )
    return Workload("devise", Model(build, stages=stages), task)

"""Naming CIFAR-10's pictures in a space of words, two of the ten never seen with a label.

Its VGG is a small one of its own, trained here: that of `vgg16-cifar10` has seen all ten labels,
so nothing that stands on it is zero-shot. Left out are cat and truck, as by Socher et al. 2013
(arXiv:1301.3666): each has a relative among the eight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.data import cifar10, words
from perfsuite.data.images import normalized, shifted_and_flipped
from perfsuite.domain.model import Model, Stage
from perfsuite.domain.task import Outputs, Predict, TrainingSet
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.training.loop import SgdPlan
from perfsuite.workloads.tasks.classification import BATCH, Classification
from perfsuite.workloads.zoo import weights

if TYPE_CHECKING:
    from torch import Tensor, nn

UNSEEN = (3, 9)  # cat and truck: never seen with a label
SEEN = tuple(label for label in range(10) if label not in UNSEEN)
TEMPERATURE = 0.05  # of similarities, in training

PLAN = SgdPlan(epochs=18, sizes=((0, 16), (7, 24), (13, 32)), cutouts=((13, 8),))


@cache
def _load(classes: tuple[int, ...], split: str) -> cifar10.Samples:
    """Return the samples of `split` that are of these classes."""
    samples = cifar10.load(split)
    chosen = np.flatnonzero(np.isin(samples.labels, classes))
    return cifar10.Samples(samples.images[chosen], samples.labels[chosen])


@dataclass(frozen=True)
class Naming(Classification):
    """Test pictures are named rightly if one of the `within` best words is the right one.

    Of all words, `ruled_out` are not answered with.
    """

    metric_name: str = "hit1"
    within: int = 1
    ruled_out: tuple[int, ...] = ()

    def train(self) -> TrainingSet:
        """Return the training pictures, and the loss that brings them to their words."""
        return super().train()._replace(loss=naming_loss)

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return (samples, 3) rows: how many words come before the right one, the first, the label.

        Words are told by their place in the table, where the names of labels come first.
        """
        images, labels = self.load("test").images, self.load("test").labels
        order = np.sort(np.random.default_rng(0).permutation(len(images))[:samples])
        rows = []
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            outputs = predict({self.input_name: self.prepare(images[chosen])})
            rows.append(ranked(outputs, labels[chosen], self.ruled_out))
        return np.concatenate(rows)

    def metric(self, rows: np.ndarray) -> float:
        """Return the share of pictures whose word is among the `within` best."""
        return float((rows[:, 0] < self.within).mean())


def ranked(outputs: Outputs, labels: np.ndarray, ruled_out: tuple[int, ...]) -> np.ndarray:
    """Return float64 (N, 3): how many words are more similar than the label's, the most, the label.

    Raises `ConfigError` unless the first output holds a similarity a word.
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
    """Return how far pictures are from their words, and how near to those of other seen labels.

    The first is one minus the cosine. The second is the softmax in which Frome et al. pre-train
    their features; here it compares with words at once, instead of their hinge on ranks. The words
    of unseen labels take no part.
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
    """Return `devise`: how often the best of all words is right, for pictures of seen labels."""
    return _workload("devise", SEEN)


def devise_hit5() -> Workload:
    """Return `devise-hit5`: the same net; how often the right word is among the best five."""
    return _workload("devise-hit5", SEEN, metric_name="hit5", within=5)


def devise_zero_shot() -> Workload:
    """Return `devise-zero-shot`: the same net, for pictures of unseen labels.

    The answer is the best of all words but those of seen labels, as in Frome et al., section 4.2.
    """
    return _workload("devise-zero-shot", UNSEEN, metric_name="zero_shot_hit1", ruled_out=SEEN)


def _workload(name: str, classes: tuple[int, ...], **judged: Any) -> Workload:
    def build() -> nn.Module:
        return weights.load(net(), weights.FOLDER / "devise.safetensors")

    task = Naming(
        partial(_load, classes),
        normalized,
        shifted_and_flipped,
        identity=f"{cifar10.fingerprint()} {words.DIGEST} {classes}",
        **judged,
    )
    stages = (
        Stage("features", ("features", "flatten")),
        Stage("project", ("project",)),
        Stage("compare", ("compare",)),
    )
    return Workload(name, Model(build, stages=stages), task)

"""Training samples of a data loader, read once and kept in memory, to be drawn in any order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import ConfigError


@dataclass(frozen=True)
class StoredSamples:
    """The samples of all batches, as these were given: `parts[i]` begins with sample `begins[i]`.

    They are not joined, which would need the memory twice.
    """

    parts: tuple[np.ndarray, ...]
    begins: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def taken(self, places: np.ndarray) -> np.ndarray:
        """Return the samples at these places, in their order."""
        which = np.searchsorted(self.begins, places, side="right") - 1
        inside = places - self.begins[which]
        pairs = zip(which.tolist(), inside.tolist(), strict=True)
        return np.stack([self.parts[part][row] for part, row in pairs])

    def training_set(self) -> TrainingSet:
        """Return the training set, whose inputs are the numbers of samples."""
        return TrainingSet(
            np.arange(len(self)), self.labels, lambda places, rng: self.taken(places)
        )


def stored(batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> StoredSamples:
    """Return the samples of batches of inputs and labels; floats are kept as float32.

    Raises `ConfigError` where samples are of different shapes.
    """
    parts, labels = list[np.ndarray](), list[np.ndarray]()
    for inputs, targets in batches:
        if parts and inputs.shape[1:] != parts[0].shape[1:]:
            raise ConfigError(
                f"train_loader: its samples have the shapes {parts[0].shape[1:]} and "
                f"{inputs.shape[1:]}; a training needs one: bring all samples to one size"
            )
        # Copies, as a loader may fill the same arrays again.
        parts.append(inputs.astype(np.float32 if inputs.dtype.kind == "f" else inputs.dtype))
        labels.append(targets.copy())
    begins = np.cumsum([0, *map(len, parts[:-1])])
    return StoredSamples(tuple(parts), begins, np.concatenate(labels))

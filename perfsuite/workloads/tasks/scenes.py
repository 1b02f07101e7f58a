"""The base of tasks on composed scenes: their pictures, by number, and their test rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from perfsuite.data import scenes
from perfsuite.data.images import cropped, how_normalized, normalized
from perfsuite.data.noise import in_other_light
from perfsuite.data.scenes import Kind, SceneItem
from perfsuite.domain.pictures import Said, Shown
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.domain.task import SEMI_SYNTHETIC, Inputs, Outputs, Predict, Task

BATCH = 50  # scenes of a call


@dataclass(frozen=True)
class SceneTask(Task):
    """Scenes of one kind: so many for `training`, so many for `test`, and as many for validation.

    Those for validation have a seed of their own, so that training never sees them.
    """

    kind: Kind
    training: int
    test: int
    labels = (SEMI_SYNTHETIC,)

    @abstractmethod
    def items(self, split: str, index: int) -> tuple[SceneItem, ...]:
        """Return the items in scene `index` of `split`."""

    @abstractmethod
    def row(self, outputs: Outputs, place: int, items: tuple[SceneItem, ...]) -> np.ndarray:
        """Return the row of the scene with `items`, which is at `place` in the outputs."""

    @abstractmethod
    def said(self, outputs: Outputs, place: int, items: tuple[SceneItem, ...]) -> tuple[Said, Said]:
        """Return what is true of the scene with `items`, and what the outputs say at `place`."""

    def pictures(self, split: str, indices: np.ndarray) -> np.ndarray:
        """Return these scenes as uint8 NHWC."""
        drawn = [scenes.paint(self.kind, split, int(i), self.items(split, int(i))) for i in indices]
        return np.stack(drawn)

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return `batch` test scenes, chosen by `seed`."""
        return self._asked("test", np.random.default_rng(seed).integers(0, self.test, batch))

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield the first `samples` calibration scenes, `BATCH` at a time."""
        for start in range(0, samples, BATCH):
            yield self._asked("calibration", np.arange(start, min(start + BATCH, samples)))

    def lit(self, indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return these training scenes as the model's input, in varied light."""
        return normalized(in_other_light(self.pictures("train", indices), rng))

    def from_picture(self, picture: np.ndarray) -> Inputs:
        """Return one picture, scaled and cropped around its centre to the size of scenes."""
        return {"images": normalized(cropped(picture, self.kind.side, self.kind.side)[None])}

    def preprocessing(self) -> Preprocessing:
        """Return how scenes are normalized."""
        return how_normalized(self.kind.side, self.kind.side)

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return one row for each test scene."""
        return self._rows("test", predict, samples)

    def validation(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return one row for each validation scene."""
        return self._rows("validation", predict, samples)

    def shown(
        self,
        predict: Predict,
        rows: np.ndarray,
        places: Sequence[int],
        samples: int | None = None,
    ) -> list[Shown]:
        """Return test scenes with what is in them, and what is said of them now."""
        indices = self._chosen(samples)[list(places)]
        outputs = predict(self._asked("test", indices))
        drawn = self.pictures("test", indices)
        items = [self.items("test", int(index)) for index in indices]
        return [Shown(drawn[i], *self.said(outputs, i, one)) for i, one in enumerate(items)]

    def _chosen(self, samples: int | None) -> np.ndarray:
        return np.sort(np.random.default_rng(0).permutation(self.test)[:samples])

    def _rows(self, split: str, predict: Predict, samples: int | None) -> np.ndarray:
        chosen = self._chosen(samples)
        rows = []
        for start in range(0, len(chosen), BATCH):
            indices = chosen[start : start + BATCH]
            outputs = predict(self._asked(split, indices))
            rows += [
                self.row(outputs, place, self.items(split, int(index)))
                for place, index in enumerate(indices)
            ]
        return np.stack(rows)

    def fingerprint(self) -> str:
        """Return a text that changes when the data do."""
        return f"{self.kind.name} {self.training} {self.test} {scenes.fingerprint()}"

    def _asked(self, split: str, indices: np.ndarray) -> Inputs:
        return {"images": normalized(self.pictures(split, indices))}

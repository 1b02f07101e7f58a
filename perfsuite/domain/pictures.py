"""Pictures of test samples, with what is true and what was answered: for people to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

# Why a cell has these pictures: the variant newly gets them wrong, or they are the first ones.
Chosen = Literal["newly wrong", "first"]


class Box(msgspec.Struct, frozen=True, omit_defaults=True):
    """A box in a picture, whose sides are fractions of its width and its height, from 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float
    label: str = ""
    score: float | None = None  # of a detection


class Look(msgspec.Struct, frozen=True, omit_defaults=True):
    """A word, and where the model looked for it: weights from 0 to 255, row by row."""

    word: str
    weights: tuple[int, ...] = ()
    columns: int = 1


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is true of a picture, or what was answered: words, boxes, words with attention."""

    words: str = ""
    boxes: tuple[Box, ...] = ()
    looks: tuple[Look, ...] = ()


class Shown(NamedTuple):
    """A test sample as a task shows it: uint8 (height, width, 3) or (height, width) for grey."""

    picture: np.ndarray
    truth: Said
    answer: Said


class Picture(msgspec.Struct, frozen=True, omit_defaults=True):
    """A test sample in a run's folder.

    `sample` is its row, `file` the name of its picture beside the description, of `width` x
    `height` pixels. `before` is what the cell answered that this one is compared with, if known.
    """

    sample: int
    file: str
    width: int
    height: int
    truth: Said
    answer: Said
    before: Said | None = None


class Pictures(msgspec.Struct, frozen=True, omit_defaults=True):
    """The pictures of a cell, or in `note` why it has none, or not all.

    `against` is the id of the cell that it is compared with. `samples` were answered. Of a task
    whose answers are right or wrong, `newly_wrong` of them are wrong here and right in that cell,
    and `newly_right` the other way round.
    """

    schema: int = 1
    cell: str = ""
    key: str = ""
    against: str = ""
    chosen: Chosen = "first"
    samples: int = 0
    newly_wrong: int | None = None
    newly_right: int | None = None
    pictures: tuple[Picture, ...] = ()
    note: str = ""


def boxes_in(
    corners: np.ndarray,
    labels: Sequence[str],
    height: int,
    width: int,
    scores: np.ndarray | None = None,
) -> tuple[Box, ...]:
    """Return boxes of a picture of that size, from corners (n, 4) in pixels and a label for each.

    They are left, top, right, bottom, and are cut to the picture. Those that are no numbers are
    left out.
    """
    sides = np.asarray(corners, np.float64).reshape(-1, 4) / (width, height, width, height)
    said = [None] * len(sides) if scores is None else np.asarray(scores, np.float64).tolist()
    found = []
    for box, label, score in zip(sides.tolist(), labels, said, strict=True):
        if all(map(math.isfinite, (*box, score or 0.0))):
            left, top, right, bottom = map(_cut, box)
            found.append(Box(left, top, right, bottom, label, score and round(score, 4)))
    return tuple(found)


def _cut(side: float) -> float:
    return round(min(max(side, 0.0), 1.0), 4)

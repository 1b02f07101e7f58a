"""Samples with class labels as pictures, for people to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from perfsuite.data.images import displayed
from perfsuite.domain.pictures import Said, Shown
from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported


def shown_classes(
    pictures: np.ndarray, answered: np.ndarray, names: Sequence[str] = ()
) -> list[Shown]:
    """Return pictures with classes: `answered` (samples, 2) has the answer and the label of each.

    Classes without a name are numbers. Raises `Unsupported` for samples that are no pictures.
    """
    known = dict(enumerate(names))
    words = [[Said(known.get(int(one), str(int(one)))) for one in pair] for pair in answered]
    return [
        Shown(picture, truth, answer)
        for picture, (answer, truth) in zip(displayed(pictures), words, strict=True)
    ]


def shown_inputs(calls: Iterable[Inputs], rows: np.ndarray, places: Sequence[int]) -> list[Shown]:
    """Return what a model is given, stretched, as pictures with the labels and answers of `rows`.

    `calls` give the samples in the order of the rows, and are read as far as the last of `places`.
    Raises `Unsupported` for samples of several inputs or sizes, which are no pictures.
    """
    wanted, found, start = sorted(places), list[np.ndarray](), 0
    for inputs in calls if wanted else ():
        if len(inputs) != 1:
            raise Unsupported("samples of several inputs are no pictures")
        (array,) = inputs.values()
        found += [array[place - start] for place in wanted if 0 <= place - start < len(array)]
        start += len(array)
        if start > wanted[-1]:
            break
    if len({one.shape for one in found}) > 1:
        raise Unsupported("samples of several sizes are no pictures to be compared")
    return shown_classes(np.stack(found), rows[wanted, 1:3]) if found else []

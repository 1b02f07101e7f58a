"""Labels that are no classes of a model, and what is said of each kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perfsuite.data.labels import misfit


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        ([0, 3, 2], (5, 4)),
        ([0.0, 3.0], (5, 4)),
        ([True, False], (2, 2)),
        (np.array([255, 0], np.uint8), (2, 256)),
        (np.full((2, 3, 3), 3), (2, 4, 3, 3)),
        ([], (2, 4)),
        ([7, 8], (2,)),  # the shape of the answers says nothing
    ],
)
def test_classes_fit(labels: Any, scores: tuple[int, ...]) -> None:
    assert misfit(np.asarray(labels), scores) == ""


RUN = "but the model's first output has 4 classes: labels run from 0 to 3; "


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([1, 4, 2], f"there is a label 4, {RUN}they seem to be counted from 1: subtract 1"),
        (
            [0, 255, 2],
            f"there is a label 255, {RUN}255 often marks pictures that have none: leave these out",
        ),
        ([0, -1, 2], f"there is a label -1, {RUN}leave out what has none"),
        (
            [0, 9, 2],
            f"there is a label 9, {RUN}number the classes anew, or give the model as many as there "
            f"are",
        ),
        (
            np.eye(4)[:3],
            "labels have the shape (3, 4); take labels.argmax(axis=1), if they are one-hot",
        ),
        ([[0], [1]], "labels have the shape (2, 1); take labels[:, 0]"),
        (
            np.zeros((2, 3, 3)),
            "labels have the shape (2, 3, 3); there is to be one for each sample: (samples,)",
        ),
        (
            [0.0, 0.25],
            "labels such as 0.25 are no classes, which are whole numbers from 0: a task of values "
            "or probabilities needs a loss and a metric of its own",
        ),
        (["cat", "dog"], "labels are <U3, and classes are numbered from 0"),
    ],
)
def test_what_fits_no_classes_is_told_with_what_to_do(labels: Any, told: str) -> None:
    assert misfit(np.asarray(labels), (3, 4)) == told


def test_places_that_have_none_are_left_out_by_a_loss() -> None:
    masks = np.array([[[0, 255], [3, 1]]])
    assert misfit(masks, (1, 4, 2, 2)) == (
        f"there is a label 255, {RUN}255 often marks places that have none: leave these out, by a "
        f"loss of its own that ignores them"
    )
    assert misfit(np.array([0, 1]), (1, 4, 2, 2)) == (
        "labels have the shape (2,); there is to be one for each sample: (samples, 2, 2)"
    )


@pytest.mark.parametrize("labels", [[0, 0], [0.0, 1.0], [[0.0], [1.0]]])
def test_one_logit_has_one_class(labels: Any) -> None:
    """Of one column the greatest is always the first: 100 % for every label 0."""
    assert misfit(np.asarray(labels), (2, 1)).startswith(
        "the model gives one number a sample, and so there is one class: give it a score for each"
    )

"""The schedule of a training, and what it does to pictures: numbers by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perfsuite.errors import ConfigError
from perfsuite.training.loop import AdamPlan, SgdPlan, rate_at
from perfsuite.training.steps import _cut_out

PLAN = SgdPlan(
    epochs=10,
    peak_rate=0.4,
    warmup=0.5,
    restarts=((6, 0.1),),
    sizes=((0, 16), (4, 32)),
    cutouts=((6, 3),),
)


def test_the_rate_rises_to_its_peak_and_falls_to_zero_and_again_after_a_restart() -> None:
    # Two steps an epoch: the first cycle has 12 steps, 6 of them rising; the second 8, 4 rising.
    rates = [rate_at(PLAN, epoch, step, 2) for epoch in range(10) for step in range(2)]
    first = [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    second = [1 / 4, 2 / 4, 3 / 4, 1, 1, 3 / 4, 2 / 4, 1 / 4]
    assert rates == pytest.approx([0.4 * r for r in first] + [0.1 * r for r in second])


def test_pictures_grow_and_squares_are_blanked_from_their_epoch_on() -> None:
    assert [PLAN.size_at(epoch) for epoch in (0, 3, 4, 9)] == [16, 16, 32, 32]
    assert [PLAN.cutout_at(epoch) for epoch in (0, 5, 6, 9)] == [None, None, 3, 3]
    assert SgdPlan(epochs=1).size_at(0) is None


def test_one_square_is_blanked_in_every_picture_and_nothing_else() -> None:
    import torch

    pictures = torch.ones(50, 3, 8, 10)
    cut = _cut_out(pictures, 3, np.random.default_rng(0))
    blank = (cut == 0).numpy()
    assert (blank.sum(axis=(1, 2, 3)) == 3 * 3 * 3).all()
    assert (blank == blank[:, :1]).all()  # the same in all channels
    rows, columns = blank[:, 0].any(axis=2), blank[:, 0].any(axis=1)
    assert (rows.sum(axis=1) == 3).all() and (columns.sum(axis=1) == 3).all()  # a square
    assert len({tuple(picture) for picture in columns}) > 1  # not always at the same place
    assert rows[:, [0, -1]].any() and columns[:, [0, -1]].any()  # borders included
    assert (pictures == 1).all()


def test_without_a_side_nothing_is_blanked() -> None:
    import torch

    pictures = torch.ones(2, 3, 4, 4)
    assert _cut_out(pictures, None, np.random.default_rng(0)) is pictures


def test_a_square_that_does_not_fit_is_told() -> None:
    import torch

    for inputs in (torch.ones(2, 3, 4, 5), torch.ones(2, 5)):
        with pytest.raises(ConfigError, match="cutouts: no square of 5 pixels fits in inputs of"):
            _cut_out(inputs, 5, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"batch": 0}, "batch is 0"),
        ({"peak_rate": 0.0}, "peak_rate is 0.0; it must be above 0"),
        ({"peak_rate": float("nan")}, "peak_rate is nan"),
        ({"warmup": 1.1}, "warmup is 1.1; it must be between 0 and 1"),
        ({"momentum": 1.0}, "momentum is 1.0; it must be at least 0 and below 1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        ({"teacher": 1.5}, "teacher is 1.5; it must be between 0 and 1"),
        ({"teacher": -0.1}, "teacher is -0.1"),
        ({"seed": -1}, "seed is -1"),
        ({"sizes": ((0, 0),)}, "sizes is ((0, 0),); it must be pairs of an epoch and a side"),
        ({"sizes": ((4, 8), (4, 16))}, "rising epochs"),
        ({"cutouts": ((-1, 8),)}, "cutouts is"),
        ({"restarts": ((0, 0.1),)}, "restarts is"),
        ({"restarts": ((4, 0.1),)}, "above 0 and below 4, their number"),
        ({"restarts": ((1, 0.0),)}, "a rate above 0"),
        ({"averaging": (0, 0.1)}, "averaging is (0, 0.1); it must be an epoch above 0 and below 4"),
        ({"averaging": (4, 0.1)}, "averaging is"),
        ({"averaging": (2, 0.0)}, "averaging is (2, 0.0); it must be with a rate above 0"),
        ({"averaging": (2, 0.1), "restarts": ((2, 0.1),)}, "after any restart"),
        ({"longest_gradient": 0.0}, "longest_gradient is 0.0; it must be above 0"),
    ],
)
def test_values_out_of_range_are_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError) as caught:
        AdamPlan(**{"epochs": 4, **fields})
    assert told in str(caught.value)


def test_plain_descent_needs_no_momentum() -> None:
    from torch import nn

    from perfsuite.training.steps import _optimizer

    assert (
        _optimizer(nn.Linear(1, 1), SgdPlan(epochs=1, momentum=0.0)).defaults["nesterov"] is False
    )
    assert _optimizer(nn.Linear(1, 1), SgdPlan(epochs=1)).defaults["nesterov"] is True

"""What perfsuite cannot count of a model is told before anything is measured."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite import Model, Task, Workload
from perfsuite.domain.task import Inputs
from perfsuite.testing import check_workload


class Numbers(Task):
    def inputs(self, batch: int, seed: int) -> Inputs:
        return {"x": np.random.default_rng(seed).random((batch, 8), np.float32)}


class Net(nn.Module):
    def __init__(self, fourier: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fourier, self.linear = fourier, nn.Linear(5 if fourier else 8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.fft.rfft(x).abs() if self.fourier else x)


def test_operators_without_a_formula_are_told() -> None:
    work = Workload("waves", Model(lambda: Net(True).eval()), Numbers())
    with pytest.warns(UserWarning, match="'waves': its MACs are only a part, as .* 1 fft_r2c;"):
        check_workload(work)


def test_nothing_is_told_of_a_model_that_is_counted_whole() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_workload(Workload("plain", Model(lambda: Net(False).eval()), Numbers()))

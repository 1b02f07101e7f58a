"""What torch's exporter writes wrongly, or not at all, is exported as it is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite.domain.model import InputSpec
from perfsuite.errors import BuildError
from perfsuite.export.onnx import export_graph, load_graph
from perfsuite.runner.build.reference import graph_outputs, module_outputs


class Reduced(nn.Module):
    """Tokens are merged by numbers, as ToMe does, in all the ways; and medians along two axes.

    What is multiplied up is how much light each of some points lets through; lengths divide. Some
    logarithms are of what is next to nothing, or beyond what a float holds.
    """

    def forward(self, x: torch.Tensor, index: torch.Tensor) -> tuple[torch.Tensor, ...]:
        to, merged = x[:, :4], x[:, 4:]
        ways = [("mean", True), ("mean", False), ("amax", False), ("sum", True)]
        made = [to.scatter_reduce(1, index, merged, way, include_self=own) for way, own in ways]
        medians = x.median(1).values, *x.median(-1, keepdim=True), *x.kthvalue(2, 1)
        logs = (
            nn.functional.logsigmoid(x * 40),
            torch.logaddexp(x * 100, x.flip(1) * 90),
            torch.logaddexp2(x * 100, x.flip(1) * 90),
        )
        ordered = torch.sort(x.round(), dim=1, stable=True, descending=True)
        lengths = torch.hypot(x, x.flip(1)), unit(x)
        return (*made, *medians, x.cumprod(1), *logs, *ordered, *lengths)


def unit(x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = x / (x.norm(dim=-1, keepdim=True) + 1e-8)
    return found


def test_means_of_scattered_values_medians_and_products(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    spec = (
        InputSpec("x", "float32", ("batch", 11, 6)),
        InputSpec("index", "int64", ("batch", 7, 6)),
    )

    def inputs(batch: int) -> dict[str, np.ndarray]:
        x = rng.normal(size=(batch, 11, 6)).astype(np.float32)
        return {"x": x, "index": rng.integers(0, 3, (batch, 7, 6))}  # nothing falls on the last

    file, net = tmp_path / "g.onnx", Reduced()
    export_graph(net, spec, inputs(2), file)
    told = {one.key: one.value for one in load_graph(file).metadata_props}
    assert told["perfsuite.exporter"] == "dynamo"
    for batch in (1, 3):
        given = inputs(batch)
        given["x"][:, 0] = 0.0  # of no length, which 1e-8 keeps from being a divisor
        pairs = zip(graph_outputs(file, given), module_outputs(net, given), strict=True)
        for found, wanted in pairs:
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


class Compared(nn.Module):
    """Extremes so far and of truth values, distances, and what is averaged and bent."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        steps, pool = x.round(), nn.functional.avg_pool2d
        return (
            *torch.cummax(steps, 1),
            *torch.cummin(steps.long(), -1),
            *(x > 0).max(1),
            *((x > 0) & (x < 1)).min(-1, keepdim=True),
            *(torch.cdist(x, x[:, 1:3], p) for p in (0.0, 1.0, 2.0, 3.0, math.inf)),
            torch.cdist(x[:, :2], torch.ones(4, 4), 1.0),
            pool(x, 3, 2, 1, divisor_override=5),
            pool(x, 2, ceil_mode=True),
            nn.functional.rrelu(x),
        )


class Solved(nn.Module):
    """Cameras are inverted, and homographies solved; rows must be swapped for it."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        small = x[:, :3, :3] * torch.tensor([[0.0, 1, 1], [1, 1, 1], [1, 1, 1]])
        return (
            torch.inverse(small),
            torch.linalg.inv(x[:, None]),
            torch.linalg.solve(x, x[:, :, 0] + 1),
            torch.linalg.solve(x, x[:, 1:3], left=False),
            torch.linalg.solve(small, torch.ones(1, 3, 2)),
            *torch.linalg.slogdet(small),
            torch.det(small),
            torch.logdet(x @ x.mT),
            *torch.linalg.slogdet(small * torch.tensor([1.0, 0, 1])),  # is singular
            torch.det(small * torch.tensor([1.0, 0, 1])),
        )


@pytest.mark.verify
@pytest.mark.parametrize("net", [Compared(), Solved()])
def test_extremes_distances_and_small_matrices(net: nn.Module, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    spec, file = (InputSpec("x", "float32", ("batch", 4, 4)),), tmp_path / "g.onnx"
    export_graph(net, spec, {"x": x[:2]}, file)
    pairs = zip(graph_outputs(file, {"x": x}), module_outputs(net, {"x": x}), strict=True)
    for found, wanted in pairs:
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.verify
def test_a_large_matrix_is_refused_by_its_size(tmp_path: Path) -> None:
    class Large(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.inverse(x)

    x = np.random.default_rng(0).normal(size=(2, 9, 9)).astype(np.float32)
    spec = (InputSpec("x", "float32", ("batch", 9, 9)),)
    with pytest.raises(BuildError, match=r"dynamo: Unsupported: a matrix of 9 rows"):
        export_graph(Large(), spec, {"x": x}, tmp_path / "g.onnx")


class ClampedTwice(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(-2, 2)[:, :, None] * x.clamp(-1, 3)[:, None]


def test_limits_that_the_dynamo_exporter_loses_are_written_by_the_other(tmp_path: Path) -> None:
    x, file = np.linspace(-4, 4, 12, dtype=np.float32).reshape(2, 6), tmp_path / "g.onnx"
    export_graph(ClampedTwice(), (InputSpec("x", "float32", ("batch", 6)),), {"x": x}, file)
    (found,), (wanted,) = graph_outputs(file, {"x": x}), module_outputs(ClampedTwice(), {"x": x})
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_other_exporter_rounds_down_and_knows_small_sigmoids(tmp_path: Path) -> None:
    class Clamped(ClampedTwice):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            whole = torch.floor_divide(x * 7, 2.0) + torch.floor_divide(x.abs().int(), 2)
            small = nn.functional.logsigmoid(x * 40)[:, None]
            is_first, place = (whole > 0).max(1, keepdim=True)
            return super().forward(whole) + small + is_first[..., None] + place[..., None]

    x, file = np.linspace(-4, 4, 12, dtype=np.float32).reshape(2, 6), tmp_path / "g.onnx"
    export_graph(Clamped(), (InputSpec("x", "float32", ("batch", 6)),), {"x": x}, file)
    told = {one.key: one.value for one in load_graph(file).metadata_props}
    assert told["perfsuite.exporter"] == "torchscript"
    (found,), (wanted,) = graph_outputs(file, {"x": x}), module_outputs(Clamped(), {"x": x})
    np.testing.assert_allclose(found, wanted, rtol=1e-5)

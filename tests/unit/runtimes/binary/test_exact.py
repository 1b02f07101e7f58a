"""A binary convolution is bit by bit what plain NumPy gives."""

from __future__ import annotations

import numpy as np
import pytest
from binary_graphs import single_layer
from binary_sessions import answers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfsuite.export.binary_operator import ConvGeometry, binary_conv


def check(
    channels: int,
    filters: int,
    side: tuple[int, int],
    geometry: ConvGeometry,
    batch: int,
    threads: int = 1,
    seed: int = 0,
) -> None:
    model, tensors = single_layer(channels, filters, side, geometry, seed)
    x = np.random.default_rng(seed).normal(size=(batch, channels, *side)).astype(np.float32)
    thresholds = np.broadcast_to(tensors["conv.threshold"][:, None, None], x.shape)
    at = np.random.default_rng(seed + 1).random(x.shape) < 0.2
    x = np.where(at, thresholds, x)  # these count as +1
    expected = binary_conv(x, *tensors.values(), geometry)
    assert np.array_equal(answers(model, x, threads), expected)


@st.composite
def geometries(draw: st.DrawFn) -> tuple[ConvGeometry, tuple[int, int]]:
    """Draw a geometry, and sides of pictures that its kernel fits into."""
    pair = lambda low, high: st.tuples(st.integers(low, high), st.integers(low, high))  # noqa: E731
    kernel, strides, dilations = draw(pair(1, 4)), draw(pair(1, 3)), draw(pair(1, 2))
    pads = (*draw(pair(0, 3)), *draw(pair(0, 3)))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
    least = [max(1, reach[axis] - pads[axis] - pads[axis + 2]) for axis in (0, 1)]
    side = draw(st.integers(least[0], least[0] + 9)), draw(st.integers(least[1], least[1] + 40))
    return ConvGeometry(kernel, strides, pads, dilations, draw(st.sampled_from([1, 1, 1, 3]))), side


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    geometries(),
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_any_geometry_is_exact(
    drawn: tuple[ConvGeometry, tuple[int, int]],
    channels: int,
    filters: int,
    batch: int,
    threads: int,
    seed: int,
) -> None:
    geometry, side = drawn
    check(channels * geometry.group, filters * geometry.group, side, geometry, batch, threads, seed)


@pytest.mark.parametrize(
    ("channels", "filters", "side", "geometry"),
    [
        (128, 192, (5, 65), ConvGeometry((3, 3), pads=(1, 1, 1, 1))),
        (64, 64, (2, 2), ConvGeometry((3, 3), pads=(1, 1, 1, 1))),
        (8, 8, (9, 9), ConvGeometry((3, 3), pads=(1, 1, 1, 1), group=8)),
        (70, 3, (36, 34), ConvGeometry((33, 31))),  # as many taps in a row as counts in bytes take
        (3, 70, (1, 1), ConvGeometry((2, 2), pads=(3, 3, 0, 0))),  # outputs that read no tap
    ],
)
def test_edges_are_exact(
    channels: int, filters: int, side: tuple[int, int], geometry: ConvGeometry
) -> None:
    check(channels, filters, side, geometry, batch=2, threads=2)


def test_numbers_without_order_count_as_below_the_threshold() -> None:
    geometry = ConvGeometry((1, 1))
    model, tensors = single_layer(4, 4, (1, 3), geometry)
    x = np.array([np.nan, np.inf, -np.inf], np.float32) * np.ones((1, 4, 1, 1), np.float32)
    assert np.array_equal(answers(model, x), binary_conv(x, *tensors.values(), geometry))

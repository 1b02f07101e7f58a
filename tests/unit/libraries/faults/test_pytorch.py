"""A torch without its BLAS, and layouts that are copied in each call."""

from __future__ import annotations

import pytest
from made_up_facts import found, item


@pytest.mark.parametrize("value", ["none", "generic"])
def test_a_torch_without_its_blas(value: str) -> None:
    assert found(item("blas", "PyTorch", value))["torch-without-blas"].severity == "fault"
    assert found(item("blas", "PyTorch", "MKL")) == {}


@pytest.mark.parametrize(
    ("value", "severity"),
    [
        ("0 contiguous, 0 channels-last, 1 neither", "fault"),
        ("12 contiguous, 0 channels-last, 1 neither", "caution"),
    ],
)
def test_a_layout_in_no_order(value: str, severity: str) -> None:
    one = found(item("layout", "convolution inputs", value), runtime="pytorch")["layout-copied"]
    assert one.severity == severity and "the inputs of 1 of" in one.message
    assert ".contiguous()" in one.fix


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("convolution inputs", "12 contiguous, 1 channels-last, 0 neither"),
        ("oneDNN", "12 blocked, 1 channels-last, 0 plain"),
        ("reorders", "28 in a call"),
    ],
)
def test_usual_layouts_are_sound(name: str, value: str) -> None:
    assert found(item("layout", name, value), runtime="pytorch") == {}

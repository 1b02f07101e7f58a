"""Denormal numbers in weights and answers."""

from __future__ import annotations

import pytest
from made_up_facts import found, item


@pytest.mark.parametrize(
    ("value", "severity"),
    [
        ("500 of 1000 values; most in conv1: 432 of 432", "fault"),
        ("100 of 1000000 values; most in conv1: 100 of 432", "caution"),
    ],
)
def test_many_are_told_with_their_layer(value: str, severity: str) -> None:
    one = found(item("denormals", "weights", value), runtime="pytorch")["denormals"]
    assert one.severity == severity and value in one.message
    assert "set_flush_denormal" in one.fix


@pytest.mark.parametrize("value", ["0 of 1000 values", "1 of 11000000 values", "0 of 0 values"])
def test_few_are_sound(value: str) -> None:
    assert found(item("denormals", "answers of layers", value), runtime="pytorch") == {}


@pytest.mark.parametrize(
    "name", ["flush denormals", "session.set_denormal_as_zero", "DENORMALS_OPTIMIZATION"]
)
def test_an_engine_that_takes_them_for_zero_is_sound(name: str) -> None:
    items = (item("denormals", "weights", "500 of 1000 values"), item("setting", name, "on"))
    assert found(*items, runtime="openvino") == {}

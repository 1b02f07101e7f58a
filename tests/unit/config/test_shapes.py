"""The shapes of inputs, as a suite has them and as the option `--shape`."""

from __future__ import annotations

from typing import Any

import pytest

from perfsuite.config.conversion import Location
from perfsuite.config.shapes import parse_shapes, shapes_of
from perfsuite.errors import ConfigError

PLACE = Location("suite.toml", "shapes.net")


def test_shapes_of_a_suite() -> None:
    found = shapes_of({"x": [1, 3, 640, 640], "ids": ["batch", "?"], "t": []}, PLACE)
    assert found == {"x": (1, 3, 640, 640), "ids": ("batch", "?"), "t": ()}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1, 3], "suite.toml: shapes.net: a table of inputs was expected, such as { x = [1, 3"),
        ({}, "suite.toml: shapes.net: a table of inputs was expected"),
        ({"x": "1x3"}, "suite.toml: shapes.net.x: the sides of this input were expected"),
        ({"x": 3}, "suite.toml: shapes.net.x: the sides of this input were expected"),
        ({"x": [1, 0]}, "shapes.net.x[1]: 0 is no side: a number from 1, 'batch' or '?'"),
        ({"x": [True]}, "shapes.net.x[0]: True is no side"),
        ({"x": [1.0]}, "shapes.net.x[0]: 1.0 is no side"),
        ({"x": [1, "N"]}, "shapes.net.x[1]: 'N' is no side"),
    ],
)
def test_what_is_no_shape_is_told_with_its_place(given: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        shapes_of(given, PLACE)
    assert words in str(caught.value)


def test_shapes_of_the_command_line() -> None:
    found = parse_shapes(["x=1x3x640x640", "in=put=batchx?", "t=5"])
    assert found == {"x": (1, 3, 640, 640), "in=put": ("batch", "?"), "t": (5,)}
    assert parse_shapes([]) == {}


@pytest.mark.parametrize("text", ["1x3", "x=", "=1x3", "x=1x", "x=1xN", "x=0x3", "x=-1x3", "x=1,3"])
def test_an_option_that_is_no_shape(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--shape '.*': an input and its sides were expected"):
        parse_shapes([text])


def test_an_option_given_twice() -> None:
    with pytest.raises(ConfigError, match="--shape is given twice for 'x'"):
        parse_shapes(["x=1x3", "x=1x4"])

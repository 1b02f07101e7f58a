"""Plain data comes back from TOML as it was."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from perfsuite.ship.toml import table_text, value_text

NUMBERS = some.integers(-(2**63), 2**63 - 1) | some.floats(allow_nan=False, allow_infinity=False)
TEXTS = some.text(some.characters(codec="utf-8"), max_size=8)
VALUES = some.recursive(
    NUMBERS | TEXTS | some.booleans(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(some.dictionaries(TEXTS, VALUES, max_size=4))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_again(table: dict[str, Any]) -> None:
    assert tomllib.loads(table_text(table)) == table


def test_what_is_none_is_left_out() -> None:
    assert table_text({"a": None, "b c": {"d": None, "e": 1e-05}}) == '"b c" = { e = 1e-05 }\n'
    assert value_text(("x", True, 2)) == '["x", true, 2]'
    with pytest.raises(TypeError, match="a object has no form"):
        value_text(object())

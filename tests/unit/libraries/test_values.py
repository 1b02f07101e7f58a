"""Numbers in the texts of evidence can be read again."""

from __future__ import annotations

import pytest

from perfsuite.libraries.values import counts, part


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ("13 of 14 layers", (13, 14)),
        ("17 of 11000000 values; most in features.0: 12 of 432", (17, 11_000_000)),
        ("by the engine", None),
        ("13 of many", None),
    ],
)
def test_a_part_of_a_whole(value: str, numbers: tuple[int, int] | None) -> None:
    assert part(value) == numbers


def test_what_is_counted_by_its_word() -> None:
    found = counts("12 contiguous, 0 channels-last, 1 neither")
    assert found == {"contiguous": 12, "channels-last": 0, "neither": 1}
    assert counts("28 in a call")["in"] == 28

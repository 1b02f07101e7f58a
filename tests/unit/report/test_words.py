"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from perfsuite.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 ns"), (2e-9, "2 ns"), (0.0023149, "2.31 ms"), (1.5, "1.5 s"), (180.4, "180 s")],
)
def test_seconds(value: float, text: str) -> None:
    assert words.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (14_728_266, "1", "14.7 M"),
        (58_900_000, "B", "58.9 MB"),
        (812.3, "1/s", "812/s"),
        (3250.0, "W", "3.25 kW"),
        (0.9261, "1", "0.9261"),
        (12, "1", "12"),
        (0.0023, "J", "2.3 mJ"),
        (2300.0, "J", "2.3 kJ"),
    ],
)
def test_quantities(value: float, unit: str, text: str) -> None:
    assert words.quantity(value, unit) == text

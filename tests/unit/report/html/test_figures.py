"""Parts of plots: labels that are text, and axes that people can read."""

from __future__ import annotations

import math

import pytest

from perfsuite.report import words
from perfsuite.report.html import figures


def test_a_label_is_text_and_is_cut_in_the_middle() -> None:
    assert figures.label("<b>x</b> & y") == "&lt;b&gt;x&lt;/b&gt; &amp; y"
    cut = figures.label("a" * 300 + "end")
    assert len(cut) == 36
    assert cut.endswith("aend")
    assert "…" in cut


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1.0, 10000.0, ["1x", "10x", "100x", "1000x", "10000x"]),
        (0.9, 60.0, ["1x", "3x", "10x", "30x"]),
        (0.9, 11.0, ["1x", "2x", "5x", "10x"]),
        (0.9, 1.55, ["0.9x", "1x", "1.2x", "1.5x"]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_few_and_round(
    low: float, high: float, ticks: list[str]
) -> None:
    ends = [math.log10(low), math.log10(high)]
    axis = figures.log_axis("", [ends[0] - 1e-9, ends[1] + 1e-9], words.times)
    assert axis["ticktext"] == ticks


def test_a_narrow_axis_has_not_too_many_ticks() -> None:
    axis = figures.log_axis("", [math.log10(0.48), math.log10(0.52)], words.times)
    assert 1 <= len(axis["tickvals"]) <= 9
    for low in (0.3, 0.48, 0.97):
        wide = figures.log_axis("", [math.log10(low), math.log10(low * 2.2)], words.times)
        assert 4 <= len(wide["tickvals"]) <= 9


def test_names_near_an_edge_stand_towards_the_middle() -> None:
    ends = [0.0, 4.0]  # from 1 to 10,000
    first = ["top left", "top right", "top left", "top left"]
    second = ["bottom right", "bottom right", "bottom right", "bottom left"]
    assert figures.inwards([100.0, 5.0, 11.0, 2000.0], ends, 0) == first
    assert figures.inwards([100.0, 5.0, 11.0, 2000.0], ends, 1) == second
    assert figures.inwards([0.0], ends, 0) == ["top right"]

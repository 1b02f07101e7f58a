"""For which shapes an engine is built: those of the timed calls first, then what else may come."""

from __future__ import annotations

import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.runtimes.tensorrt.shapes import Range, fitting, profiles

PICTURES = InputSpec("x", "float32", ("batch", 3, 8, 8))


def test_the_timed_batch_has_a_profile_of_its_own() -> None:
    timed, every = profiles([PICTURES], 4, {})
    assert timed == {"x": Range((4, 3, 8, 8), (4, 3, 8, 8), (4, 3, 8, 8))}
    assert every == {"x": Range((1, 3, 8, 8), (4, 3, 8, 8), (64, 3, 8, 8))}
    (_, large) = profiles([PICTURES], 100, {})
    assert large["x"].most == (100, 3, 8, 8)


def test_without_open_sides_there_is_none() -> None:
    assert profiles([InputSpec("x", "float32", (1, 3)), InputSpec("s", "int64", ())], 1, {}) == ()


def test_other_sides_reach_from_what_calls_have() -> None:
    spec = [InputSpec("regions", "float32", ("side0", 256, 7)), InputSpec("n", "int64", ("side1",))]
    known = {"regions": ((300, 256, 7), (120, 256, 7)), "n": ((2,), (2,))}
    timed, every = profiles(spec, 1, known)
    assert timed["regions"] == Range((120, 256, 7), (300, 256, 7), (300, 256, 7))
    assert timed["n"] == Range((2,), (2,), (2,))
    assert every["regions"] == Range((0, 256, 7), (300, 256, 7), (1200, 256, 7))
    assert every["n"].most == (1024,)


def test_of_sides_that_nobody_knows_there_is_one_wide_profile() -> None:
    timed, every = profiles([InputSpec("x", "float32", (1, 3, "h", "w"))], 1, {})
    assert timed["x"] == Range((1, 3, 1, 1), (1, 3, 1, 1), (1, 3, 1024, 1024))
    assert every["x"].most == (1, 3, 4096, 4096)


@pytest.mark.parametrize(
    ("shape", "number"),
    [((4, 3, 8, 8), 0), ((1, 3, 8, 8), 1), ((64, 3, 8, 8), 1), ((65, 3, 8, 8), None),
     ((4, 3, 8), None), ((4, 3, 9, 8), None), ((0, 3, 8, 8), None)],
)  # fmt: skip
def test_the_first_profile_that_fits_is_taken(shape: tuple[int, ...], number: int | None) -> None:
    assert fitting(profiles([PICTURES], 4, {}), {"x": shape}) == number

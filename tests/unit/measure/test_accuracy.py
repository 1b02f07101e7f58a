"""The bootstrap against the textbook, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.measure.accuracy import accuracy, resamplings


def mean(rows: np.ndarray) -> float:
    return float(rows.mean())


def hits(right: int, wrong: int) -> np.ndarray:
    return np.array([[1.0]] * right + [[0.0]] * wrong)


def test_value_and_spread_of_a_share() -> None:
    got = accuracy("top1", mean, hits(900, 100), digest="abc")
    assert (got.metric, got.value, got.samples, got.digest) == ("top1", 0.9, 1000, "abc")
    assert len(got.replicates) == 1000
    # The standard error of a share is sqrt(p (1 - p) / n) = 0.00949; of 1,000 replicates' standard
    # deviation the relative error is 1 / sqrt(2000) = 2.2 %.
    assert np.std(got.replicates) == pytest.approx(np.sqrt(0.9 * 0.1 / 1000), rel=0.08)
    assert np.mean(got.replicates) == pytest.approx(0.9, abs=0.002)


def test_a_metric_that_is_no_mean() -> None:
    rows = np.arange(100.0)[:, None] / 100
    got = accuracy("median", lambda r: float(np.median(r)), rows, digest="", replicates=50)
    assert got.value == 0.495
    again = [float(f"{np.median(rows[i]):.6g}") for i in resamplings(100, 50)]
    assert list(got.replicates) == again


def test_equal_numbers_of_rows_are_resampled_alike() -> None:
    better = accuracy("top1", mean, hits(90, 10), digest="d", replicates=20)
    worse = accuracy("top1", mean, hits(80, 20), digest="d", replicates=20)
    # Rows 80 to 89 are all that differ: no replicate of the better one may fall below.
    drops = np.subtract(better.replicates, worse.replicates)
    assert drops.min() >= 0


def test_the_draws_are_those_of_every_machine() -> None:
    assert next(resamplings(10, 1)).tolist() == [9, 2, 8, 1, 5, 1, 6, 8, 4, 9]


def test_replicates_have_six_digits() -> None:
    got = accuracy("top1", mean, hits(2, 1), digest="d", replicates=100)
    assert 0.333333 in got.replicates


@pytest.mark.parametrize("value", [93.0, -0.1, 1.001])
def test_a_metric_that_is_no_fraction(value: float) -> None:
    with pytest.raises(ConfigError, match=rf"top1: the metric of the rows is {value:g}.*fraction"):
        accuracy("top1", lambda rows: value, np.ones((5, 1)), digest="d")


def test_rounding_may_carry_a_share_over_one() -> None:
    assert accuracy("f1", lambda rows: 1 + 2e-16, np.ones((5, 1)), digest="d").replicates[0] == 1


def test_the_name_of_what_is_measured_is_no_name_of_an_accuracy() -> None:
    with pytest.raises(ConfigError, match="metric_name 'latency_s' is the name of what"):
        accuracy("latency_s", mean, np.ones((5, 1)), digest="d")


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows(rows: int) -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        accuracy("top1", mean, np.ones((rows, 1)), digest="d")


def test_nan_in_rows_names_the_first() -> None:
    rows = np.ones((5, 2))
    rows[3, 1] = rows[4, 0] = np.nan
    with pytest.raises(PerfsuiteError, match="2 of 5 rows contain NaN, the first is row 3"):
        accuracy("top1", mean, rows, digest="d")


def test_nan_as_metric() -> None:
    with pytest.raises(PerfsuiteError, match="the metric of the rows is nan"):
        accuracy("top1", lambda rows: float("nan"), np.ones((5, 1)), digest="d")

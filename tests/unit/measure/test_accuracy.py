"""The bootstrap against the textbook, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perfsuite.domain.task import SubsetMetric, Task
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.measure.accuracy import accuracies, accuracy, resamplings


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
    with pytest.raises(ConfigError, match="metric 'latency_s' has the name of what"):
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


# -- several metrics of the same rows ------------------------------------------------------------

HALVES = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])  # right, member


def right(rows: np.ndarray) -> float:
    return float(rows[:, 0].mean())


def test_each_metric_reduces_the_same_rows_and_the_main_one_is_first() -> None:
    asked = {"top1": right, "member": lambda rows: float(rows[:, 1].mean())}
    top1, member = accuracies(asked, HALVES, digest="d")
    assert (top1.metric, top1.value, top1.samples) == ("top1", 0.8, 5)
    assert (member.metric, member.value, member.digest) == ("member", 0.4, "d")
    again = [float(f"{right(HALVES[chosen]):.6g}") for chosen in resamplings(5, 1000)]
    assert list(top1.replicates) == again


def test_a_metric_of_a_subset_is_resampled_among_its_members_alone() -> None:
    (found,) = accuracies({"seen": SubsetMetric(1, right)}, HALVES, digest="d")
    assert (found.value, found.samples) == (0.5, 2)
    members = HALVES[:2]
    assert list(found.replicates) == [right(members[chosen]) for chosen in resamplings(2, 1000)]
    assert set(found.replicates) == {0.0, 0.5, 1.0}  # never without a member: always a number


def test_a_subset_of_fewer_than_two_samples_has_no_interval() -> None:
    with pytest.raises(ConfigError, match=r"seen: 1 test sample\(s\) give no interval.*about"):
        accuracies({"seen": SubsetMetric(1, right)}, HALVES[1:], digest="d")


def test_a_subset_of_nothing_has_no_metric() -> None:
    assert np.isnan(SubsetMetric(1, right)(HALVES[2:]))
    assert SubsetMetric(1, right)(HALVES) == 0.5


@pytest.mark.parametrize("column", [2, -1, "seen"])
def test_a_subset_names_a_column_of_the_rows(column: Any) -> None:
    with pytest.raises(ConfigError, match=f"column {column!r}; the rows have 2, counted from 0"):
        accuracies({"seen": SubsetMetric(column, right)}, HALVES, digest="d")


def test_a_function_that_selects_rows_itself_is_told_of_subsets() -> None:
    def selects(rows: np.ndarray) -> float:
        chosen = rows[rows[:, 1] != 0, 0]
        return float(chosen.mean()) if len(chosen) else float("nan")

    with pytest.raises(PerfsuiteError, match="about some of the samples alone is a SubsetMetric"):
        accuracies({"seen": selects}, HALVES, digest="d")


def test_a_task_of_one_metric_needs_no_more_than_its_name() -> None:
    class One(Task):
        metric_name = "top1"

        def metric(self, rows: np.ndarray) -> float:
            return right(rows)

    assert {name: one(HALVES) for name, one in One().metrics().items()} == {"top1": 0.8}
    assert Task().metrics() == {}
    for wrong in ({}, None):
        with pytest.raises(ConfigError, match=r"metrics\(\) must give a dict"):
            accuracies(wrong, HALVES, digest="d")  # type: ignore[arg-type]


# -- what is said ---------------------------------------------------------------------------------


def refused(metric: object, rows: np.ndarray, name: str = "top1") -> str:
    with pytest.raises((ConfigError, PerfsuiteError)) as caught:
        accuracy(name, metric, rows, digest="d")  # type: ignore[arg-type]
    return str(caught.value)


def test_every_message_is_whole() -> None:
    rows = np.ones((5, 2))
    assert refused(mean, rows, "latency_s") == (
        "the task's metric 'latency_s' has the name of what perfsuite measures itself; choose "
        "another, such as top1"
    )
    assert refused(mean, rows[:1]) == (
        "top1: 1 test sample(s) give no interval; evaluate at least 2 that it is about"
    )
    assert refused(lambda some: 93.0, rows) == (
        "top1: the metric of the rows is 93, and an accuracy lies between 0 and 1; the task must "
        "give a fraction (0.93, not 93 percent)"
    )
    assert refused(lambda some: float("inf"), rows) == (
        "top1: the metric of the rows is inf; it must be a finite number for any choice of rows "
        "(one that is about some of the samples alone is a SubsetMetric)"
    )
    rows[2, 1] = np.nan
    assert refused(mean, rows) == (
        "top1: 1 of 5 rows contain NaN, the first is row 2; look for NaN in the model's outputs or "
        "in the task's rows()"
    )
    with pytest.raises(ConfigError) as caught:
        accuracies({}, rows, digest="d")
    assert str(caught.value) == (
        "the task's metrics() must give a dict of names and functions of the rows, with at least "
        "one; it gives {}"
    )


def test_a_metric_that_fails_on_a_resampling_is_named_too() -> None:
    """All rows give a number; a draw without the first does not."""

    def fragile(some: np.ndarray) -> float:
        return 0.5 if (some[:, 0] == 0).any() else 7.0

    rows = np.arange(5.0)[:, None]
    assert refused(fragile, rows).startswith("top1: the metric of the rows is 7,")


def test_rounding_may_carry_a_share_below_nothing_and_above_all() -> None:
    for value in (-1e-9, 1 + 1e-9):
        assert accuracy("f1", lambda some, at=value: at, np.ones((2, 1)), digest="d").value == value  # type: ignore[misc]
    for value in (-1.1e-9, 1 + 1.1e-9):
        assert "lies between 0 and 1" in refused(lambda some, at=value: at, np.ones((2, 1)))

"""Parity, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.errors import BuildError, ConfigError, ParityError
from perfsuite.export.parity import (
    check_finite,
    check_numbers,
    largest_difference,
    looser,
    parity,
)


def test_the_difference_is_relative_to_the_largest_reference_value() -> None:
    reference = [np.array([1.0, -4.0]), np.array([[0.0, 2.0]])]
    actual = [np.array([1.0002, -4.0]), np.array([[0.0, 2.0]])]
    found = parity(reference, actual, ["a", "b"], "fp32")
    assert found == {"a": pytest.approx(0.0002 / 4), "b": 0.0}


def test_the_first_output_that_differs_is_named_with_difference_and_tolerance() -> None:
    reference = [np.ones(3), np.full(3, 2.0), np.ones(3)]
    actual = [np.ones(3), np.full(3, 2.5), np.zeros(3)]
    with pytest.raises(ParityError, match=r"output 'second' differs.* = 0\.25, .* 0\.0001"):
        parity(reference, actual, ["first", "second", "third"], "fp32")


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-4), ("tf32", 5e-3), ("fp16", 1e-2), ("bf16", 3e-2)]
)
def test_each_precision_has_its_tolerance(precision: str, tolerance: float) -> None:
    reference = [np.array([1.0])]
    parity(reference, [np.array([1 + 0.99 * tolerance])], ["y"], precision)
    with pytest.raises(ParityError):
        parity(reference, [np.array([1 + 1.01 * tolerance])], ["y"], precision)


def test_another_top1_is_refused_where_the_margin_exceeds_the_tolerance() -> None:
    reference = np.array([[1.0, 0.985, 0.0]])
    swapped = np.array([[0.991, 0.993, 0.0]])  # off by 0.9 % at most, inside fp16's 1 %
    with pytest.raises(ParityError, match=r"row 0 .* at 1, the model at 0, which leads by 0\.015"):
        parity([reference], [swapped], ["y"], "fp16")
    close = np.array([[1.0, 0.995, 0.0]])  # leads by less than 1 %: either answer will do
    assert parity([close], [swapped], ["y"], "fp16")["y"] == pytest.approx(0.009)


def test_nan_infinity_shape_and_count() -> None:
    one = np.ones((1, 2), np.float32)
    with pytest.raises(ParityError, match="the export gives 1 NaN and 1 infinite of 2"):
        parity([one], [np.array([[np.nan, np.inf]])], ["y"], "fp32")
    with pytest.raises(ParityError, match="the model gives 2 NaN"):
        parity([one * np.nan], [one], ["y"], "fp32")
    with pytest.raises(ParityError, match=r"shape \(2, 1\), the model gives \(1, 2\)"):
        parity([one], [one.T], ["y"], "fp32")
    with pytest.raises(ParityError, match="1 outputs, the export 2"):
        parity([one], [one, one], ["y"], "fp32")


def test_an_all_zero_reference_is_held_to_the_difference_itself() -> None:
    assert parity([np.zeros(2)], [np.full(2, 5e-5)], ["y"], "fp32") == {"y": 5e-5}
    with pytest.raises(ParityError):
        parity([np.zeros(2)], [np.full(2, 1e-3)], ["y"], "fp32")


def test_empty_outputs_are_equal_and_integers_are_compared() -> None:
    assert parity([np.zeros((0, 4))], [np.zeros((0, 4))], ["boxes"], "fp32") == {"boxes": 0.0}
    with pytest.raises(ParityError, match="differs"):
        parity([np.array([3])], [np.array([4])], ["labels"], "fp32")


def test_an_unknown_precision_comes_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'fp32'"):
        parity([], [], [], "fp31")


def test_check_finite_names_the_output() -> None:
    good = np.ones(2, np.float32)
    check_finite([good, np.array([1, 2])], ["a", "labels"])
    with pytest.raises(BuildError, match="output 'b': 1 NaN and 0 infinite of 2"):
        check_finite([good, np.array([0, np.nan])], ["a", "b"])


def test_outputs_that_may_have_nan_are_named() -> None:
    bad = np.array([np.nan, 1.0])
    check_finite([bad, np.ones(2)], ["a", "b"], ["a"])
    with pytest.raises(BuildError, match="output 'b'"):
        check_finite([bad, bad], ["a", "b"], ["a"])


def test_an_infinity_may_be_meant_and_a_nan_is_no_number() -> None:
    check_numbers([np.array([-np.inf, 1.0]), np.array(["text"])], ["a", "b"])
    with pytest.raises(BuildError, match="output 'a': 1 NaN and 1 infinite of 2"):
        check_numbers([np.array([np.inf, np.nan])], ["a"])


def test_infinities_and_nan_are_equal_to_their_like() -> None:
    reference = np.array([[-np.inf, 2.0, np.nan, np.inf]])
    near = np.array([[-np.inf, 2.0001, np.nan, np.inf]])
    assert parity([reference], [near], ["y"], "fp32")["y"] == pytest.approx(5e-5)
    with pytest.raises(ParityError, match=r"differs: .* = 0.5"):
        parity([reference], [np.array([[-np.inf, 3.0, np.nan, np.inf]])], ["y"], "fp32")
    with pytest.raises(ParityError, match=r"1 NaN and 2 infinite of 4 .*, at other places"):
        parity([reference], [reference[:, ::-1].copy()], ["y"], "fp32")
    with pytest.raises(ParityError, match=r"the model gives .* infinite of 1 values, the export"):
        parity([np.array([np.inf])], [np.array([-np.inf])], ["y"], "fp32")


def test_texts_are_equal_or_not() -> None:
    words = np.array(["cat", "dog"])
    assert parity([words], [words.copy()], ["t"], "fp32") == {"t": 0.0}
    with pytest.raises(ParityError, match=r"output 't': 1 of 2 values differ, the first .*'cow'"):
        parity([words], [np.array(["cat", "cow"])], ["t"], "fp32")


def test_what_follows_from_rounded_values_may_differ_in_int8() -> None:
    labels, others = np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5])
    assert parity([labels], [others], ["i"], "int8") == {"i": 0.25}
    assert parity([np.ones((3, 4))], [np.ones((2, 4))], ["boxes"], "int8") == {"boxes": 1.0}
    with pytest.raises(ParityError, match="shape"):
        parity([np.ones((3, 4))], [np.ones(4)], ["boxes"], "int8")
    with pytest.raises(ParityError, match="more than rounding to 8 bits"):
        parity([np.ones(4)], [np.zeros(4)], ["y"], "int8")
    assert parity([np.ones(3)], [np.zeros(3)], ["y"], "int8") == {"y": 1.0}, "too few to tell"
    # 0.3 of the largest value, but (0.09 / 4) ** 0.5 / (4 / 4) ** 0.5 of all of them.
    near = np.array([1.0, 1.0, 1.0, 1.3])
    assert parity([np.ones(4)], [near], ["y"], "int8") == {"y": pytest.approx(0.15)}


def test_the_looser_of_the_asked_precision_and_the_graphs_own() -> None:
    assert looser("fp32", ()) == "fp32"
    assert looser("fp32", ("fp16",)) == "bf16"
    assert looser("fp32", ("bf16",)) == "int8"
    assert looser("fp32", ("fp16", "int8")) == "int8"
    assert looser("bf16", ("fp16",)) == "bf16"
    assert looser("fp32", ("fp8",)) == "int8"


def test_the_largest_difference() -> None:
    whole = np.array([1.0, -4.0, np.inf])
    assert largest_difference(np.array([2.0, np.inf]), np.array([1.0, np.inf]), whole) == 0.25
    assert largest_difference(np.array(["a", "b"]), np.array(["a", "c"]), np.array(["a"])) == 0.5
    assert np.isnan(largest_difference(np.array([np.nan]), np.array([1.0]), whole))
    assert largest_difference(np.array([np.inf]), np.array([1.0]), whole) == np.inf
    assert largest_difference(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2))) == 0.0


def test_answers_in_half_precision_may_be_rounded_to_the_next_of_that() -> None:
    wanted = np.array([1.0, 0.25], np.float16)
    next_one = np.nextafter(wanted, np.float16(2))
    assert 0 < parity([wanted], [next_one], ["y"], "fp32")["y"] < 2e-3
    with pytest.raises(ParityError, match=r"tolerance is 0\.01"):
        parity([wanted], [wanted + np.float16(0.02)], ["y"], "fp32")
    with pytest.raises(ParityError, match=r"tolerance is 0\.0001"):
        parity([wanted.astype(np.float32)], [next_one.astype(np.float32)], ["y"], "fp32")


def test_pixels_next_to_the_edge_of_a_step_may_be_rounded_to_either_side() -> None:
    pixels = np.arange(10_000, dtype=np.uint8).reshape(1, 100, 100)
    next_ = pixels.copy()
    next_[0, 0, :50] ^= 1
    assert parity([pixels], [next_], ["y"], "fp32") == {"y": 0.005}
    with pytest.raises(ParityError, match=r"max\|a-b\|/max\|b\| = 0\.00392"):
        parity([pixels], [pixels ^ 1], ["y"], "fp32")
    next_[0, 0, 0] = 99
    next_[0, 0, 1:50] = pixels[0, 0, 1:50]
    assert parity([pixels], [next_], ["y"], "fp32") == {"y": 0.0001}


def test_some_classes_of_a_mask_may_differ_and_those_of_a_few_answers_may_not() -> None:
    mask = np.zeros((1, 100, 100), np.int64)
    mask[0, 50:] = 7
    other = mask.copy()
    other[0, 49, :10] = 7
    assert parity([mask], [other], ["mask"], "fp32") == {"mask": 0.001}
    other[0, 49, 10] = 7
    with pytest.raises(ParityError, match="'mask' differs"):
        parity([mask], [other], ["mask"], "fp32")
    assert parity([mask], [other], ["mask"], "fp16") == {"mask": 0.0011}
    with pytest.raises(ParityError, match="'label' differs"):
        parity([np.array([3, 2, 1])], [np.array([3, 2, 0])], ["label"], "fp32")

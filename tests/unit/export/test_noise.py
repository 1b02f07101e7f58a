"""What is left where values cancel is told from answers that are small."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, ParityError
from perfsuite.export.noise import CALLS, FACTOR, GROWN, LARGEST, noise_floors, rounding_decides
from perfsuite.export.parity import parity

X = {"x": np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)}
ONE = np.float32(1)


def cancelling(inputs: Inputs) -> Outputs:
    """Nothing but rounding errors: (x + 1) - 1 - x."""
    return [(inputs["x"] + ONE) - ONE - inputs["x"]]


def small(inputs: Inputs) -> Outputs:
    """Small answers that follow from the inputs."""
    return [inputs["x"] * np.float32(1e-7)]


def held(model: object, actual: np.ndarray, inputs: Inputs = X, precision: str = "fp32") -> float:
    """Return the difference of an engine's answer by the model's own rounding errors."""
    expected = model(inputs)  # type: ignore[operator]
    floors = noise_floors(model, inputs, expected)  # type: ignore[arg-type]
    return parity(expected, [actual], ["y"], precision, floors)["y"]


def test_rounding_errors_may_differ_by_all_of_themselves() -> None:
    (expected,) = cancelling(X)
    assert 0 < np.abs(expected).max() < 3e-7
    with pytest.raises(ParityError, match="differs"):
        parity([expected], [-expected], ["y"], "fp32")
    assert 0 < held(cancelling, -expected) < 1e-4
    assert held(cancelling, np.zeros_like(expected)) < 1e-4
    with pytest.raises(ParityError, match="differs"):
        held(cancelling, expected + np.float32(1e-5))


def test_small_answers_are_held_to_what_they_are() -> None:
    (expected,) = small(X)
    assert held(small, expected) == 0.0
    for wrong in (np.zeros_like(expected), expected * np.float32(1.001), -expected):
        with pytest.raises(ParityError, match="differs"):
            held(small, wrong)


def test_an_answer_that_should_be_a_tenth_is_not_zero_however_unsteady_it_is() -> None:
    def unsteady(inputs: Inputs) -> Outputs:
        even = inputs["x"].view(np.int32) % 2 == 0  # changes with the last bit
        return [np.where(even, np.float32(0.1), np.float32(-0.1))]

    (expected,) = unsteady(X)
    floors = noise_floors(unsteady, X, [expected])
    assert floors == [pytest.approx(max(LARGEST * np.abs(X["x"]).max(), GROWN * 0.1))]
    pixels = {"x": X["x"] * 255}
    for inputs in (X, pixels):
        with pytest.raises(ParityError, match="differs"):
            held(unsteady, np.zeros_like(expected), inputs)


def test_rounding_errors_that_have_grown_may_differ_by_as_much() -> None:
    def chaotic(inputs: Inputs) -> Outputs:
        x = inputs["x"] % ONE
        for _ in range(20):
            x = np.float32(3.9) * x * (ONE - x)
        return [x]

    given = {"x": np.random.default_rng(1).random((4, 8), np.float32)}
    (expected,) = chaotic(given)
    assert noise_floors(chaotic, given, [expected])[0] == pytest.approx(GROWN * expected.max())
    assert held(chaotic, expected + np.float32(2e-2), given) < 1e-4
    with pytest.raises(ParityError, match="differs"):
        held(chaotic, expected + np.float32(0.2), given)
    steady = noise_floors(lambda one: [one["x"] * 3], X, [X["x"] * 3])[0]
    assert steady < 1e-4 * np.abs(X["x"]).max(), "less than the tolerance"


def test_of_larger_inputs_rounding_errors_are_larger() -> None:
    def sums(inputs: Inputs) -> Outputs:
        there, back = inputs["x"].cumsum(1), inputs["x"][:, ::-1].cumsum(1)
        return [there[:, -1] - back[:, -1]]

    def floor(factor: float) -> float:
        inputs = {"x": X["x"] * np.float32(factor)}
        return max(noise_floors(sums, inputs, sums(inputs)))

    assert floor(1000.0) > 50 * floor(1.0) > 0


def test_lower_precisions_have_as_many_times_larger_errors() -> None:
    (expected,) = cancelling(X)
    off = np.float32(30 * np.abs(expected).max())
    with pytest.raises(ParityError):
        held(cancelling, expected + off)
    assert held(cancelling, expected + off, precision="fp16") < 1e-2


def test_what_tells_nothing_raises_no_limit() -> None:
    calls: list[Inputs] = []

    def fails(inputs: Inputs) -> Outputs:
        calls.append(inputs)
        raise RuntimeError("odd")

    assert noise_floors(fails, X, cancelling(X)) == [0.0]
    assert len(calls) == 1
    assert noise_floors(lambda given: [], X, cancelling(X)) == [0.0]
    numbers = {"ids": np.arange(4)}
    assert noise_floors(lambda given: [given["ids"] * 1.0], numbers, [np.arange(4.0)]) == [0.0]
    labels = noise_floors(lambda given: [given["x"].argmax(1)], X, [X["x"].argmax(1)])
    assert labels == [0.0]


def test_zeros_and_infinities_stay_and_all_else_is_its_neighbour() -> None:
    given = np.array([0.0, 1.0, -2.0, np.inf], np.float32)
    seen: list[np.ndarray] = []

    def model(inputs: Inputs) -> Outputs:
        seen.append(inputs["x"])
        return [inputs["x"] / 1000]

    (floor,) = noise_floors(model, {"x": given}, [given / 1000])
    assert len(seen) == CALLS
    for array in seen:
        assert array.dtype == np.float32 and array[0] == 0 and array[3] == np.inf
        assert (array[1:3] != given[1:3]).all()
        np.testing.assert_allclose(array[1:3], given[1:3], rtol=2e-7)
    assert 0 < floor <= 2 * FACTOR * np.spacing(np.float32(2)) / 1000


def test_large_answers_are_not_asked_for_again() -> None:
    def model(inputs: Inputs) -> Outputs:
        raise AssertionError("it was asked")

    assert noise_floors(model, X, [X["x"], X["x"].astype(int)]) == [0.0, 0.0]
    assert noise_floors(model, X, [np.zeros(3, np.float32)]) == [0.0]


def test_whose_best_two_are_next_to_equal_is_decided_by_rounding() -> None:
    def best(inputs: Inputs) -> Outputs:
        return [inputs["x"].argmax(1)]

    def decides(model: Callable[[Inputs], Outputs], inputs: Inputs) -> bool:
        expected = best(inputs)

        def compare(answers: Sequence[Outputs]) -> None:
            parity(expected, answers[0], ["best"], "fp32")

        return rounding_decides(model, [inputs], compare)

    def fails(inputs: Inputs) -> Outputs:
        raise BuildError("no such size")

    tied = {"x": np.ones((1, 8), np.float32)}
    assert decides(best, tied)
    assert not decides(best, X)
    assert not decides(fails, tied)

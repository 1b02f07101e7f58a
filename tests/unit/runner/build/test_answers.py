"""An artifact's answers beside the model's own: NaN, infinities, what cannot be compared."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from perfsuite.domain.record import INFINITE, MAY_OVERFLOW, NAN_OF_MADE_UP, NOT_COMPARED
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.errors import BuildError, ParityError, Unsupported
from perfsuite.processor import read_processor
from perfsuite.runner.build import answers
from perfsuite.runner.build.answers import Compared, Comparison

GOOD = np.array([[1.0, 2.0]])
MASKED = np.array([[-np.inf, 2.0]])
NAN = np.array([[np.nan, 2.0]])


def comparison(
    *answers: np.ndarray, made_up: bool = False, own: tuple[str, ...] = ()
) -> Comparison:
    names = tuple("yz"[: len(answers)])
    manifest = Manifest("engine", "cpu", "fp32", 1, (), names, False, False, own)
    return Comparison(Task(), manifest, lambda inputs: list(answers), made_up)


def refuse(inputs: Inputs) -> Outputs:
    raise Unsupported("not here")


def test_answers_that_agree() -> None:
    assert comparison(GOOD).of([{}, {}], [[GOOD], [GOOD + 1e-5]]) == Compared(
        {"y": pytest.approx(5e-6)}
    )
    with pytest.raises(ParityError, match="output 'y' differs"):
        comparison(GOOD).of([{}], [[GOOD + 0.1]])


def test_infinities_of_the_model_are_told() -> None:
    assert comparison(MASKED).of([{}], [[MASKED]]) == Compared({"y": 0.0}, ("y",), (INFINITE,))
    with pytest.raises(ParityError, match=r"the export gives 0 NaN and 1 infinite of 2 values$"):
        comparison(GOOD).of([{}], [[MASKED]])


def test_nan_of_real_samples_is_an_error_and_of_made_up_inputs_a_label() -> None:
    with pytest.raises(BuildError, match=r"'y': the model gives 1 NaN .*: give samples that it is"):
        comparison(NAN).of([{}], [[NAN]])
    found = comparison(GOOD, NAN, made_up=True).of([{}], [[GOOD, NAN]])
    assert found == Compared({"y": 0.0}, ("z",), (NAN_OF_MADE_UP,))
    # Engines take the maximum of a NaN and a number differently.
    assert comparison(GOOD, NAN, made_up=True).of([{}], [[GOOD, GOOD]]) == found


def test_nan_of_the_engine_alone_is_an_error_with_made_up_inputs_too() -> None:
    with pytest.raises(ParityError, match=r"the export gives 1 NaN .*the inputs are made up"):
        comparison(GOOD, made_up=True).of([{}], [[NAN]])


def test_a_graph_that_rounds_by_itself_has_the_tolerance_of_its_steps() -> None:
    far = GOOD * 1.005
    found = comparison(GOOD, own=("int8",)).of([{}], [[far]])
    assert (found.parity, found.labels) == ({"y": pytest.approx(0.005)}, ())


@pytest.mark.parametrize(
    ("flags", "portable", "own", "overflow"),
    [
        (("avx2",), None, "int8", True),
        (("avx2",), False, "int8", True),
        (("avx2",), True, "int8", False),
        (("avx2",), None, "int16", False),
        (("avx2", "avx512_vnni"), False, "int8", False),
        (("asimd",), False, "int8", False),
    ],
)
def test_that_it_is_far_off_is_told_and_whether_sums_may_overflow(
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    portable: bool | None,
    own: str,
    overflow: bool,
) -> None:
    there = dataclasses.replace(read_processor(), flags=flags)
    monkeypatch.setattr(answers, "read_processor", lambda: there)
    given = comparison(GOOD, own=(own,))
    manifest = msgspec.structs.replace(given.manifest, portable=portable)
    asked = dataclasses.replace(given, manifest=manifest)
    found = asked.of([{}, {}], [[GOOD], [GOOD * 1.2]])
    told = ("'y' is 20 % off the file run as it stands",)
    assert found.labels == (*told, *[MAY_OVERFLOW] * overflow)
    reason = r"1, the tolerance is 0\.5" + (
        r"; two of its 8-bit .* reduce_range$" if overflow else "$"
    )
    values = np.array([1.0, 2.0, 3.0, 4.0])
    asked = dataclasses.replace(asked, model=lambda _: [values])
    with pytest.raises(ParityError, match=reason):
        asked.of([{}], [[values * 2]])


def test_a_model_that_nothing_else_runs_is_not_compared() -> None:
    alone = Comparison(Task(), comparison(GOOD).manifest, refuse, made_up=True)
    assert alone.of([{}], [[GOOD]]) == Compared({}, labels=(NOT_COMPARED,))
    with pytest.raises(BuildError, match="output 'y': 1 NaN"):
        alone.of([{}], [[NAN]])


def test_a_quantized_graph_may_have_the_infinities_of_the_model_alone() -> None:
    assert comparison(GOOD).quantized([{}], [[GOOD * 2]]) == Compared({})
    assert comparison(MASKED).quantized([{}], [[MASKED[:, ::-1]]]) == Compared(
        {}, ("y",), (INFINITE,)
    )
    with pytest.raises(BuildError, match="output 'y': 0 NaN and 1 infinite of 2 values"):
        comparison(GOOD).quantized([{}], [[MASKED]])
    alone = Comparison(Task(), comparison(GOOD).manifest, refuse, made_up=False)
    with pytest.raises(BuildError, match="output 'y': 1 NaN"):
        alone.quantized([{}], [[NAN]])


def test_answers_that_are_rounding_errors_may_differ_by_themselves() -> None:
    x = {"x": np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)}
    one = np.float32(1)

    def cancelling(inputs: Inputs) -> Outputs:
        return [inputs["x"], (inputs["x"] + one) - one - inputs["x"]]

    manifest = comparison(GOOD, GOOD).manifest
    held = Comparison(Task(), manifest, cancelling, made_up=False)
    found = held.of([x], [[x["x"], np.zeros_like(x["x"])]])
    assert found.parity["y"] == 0.0 and 0 < found.parity["z"] < 1e-4

    def exact(inputs: Inputs) -> Outputs:
        return [inputs["x"], inputs["x"] / 1e7]

    held = Comparison(Task(), manifest, exact, made_up=False)
    with pytest.raises(ParityError, match="output 'z' differs"):
        held.of([x], [[x["x"], np.zeros_like(x["x"])]])


def test_answers_that_near_ties_decide_are_told_from_those_of_a_fault() -> None:
    def best(inputs: Inputs) -> Outputs:
        return [inputs["x"].argmax(1)]

    held = Comparison(Task(), comparison(GOOD).manifest, best, made_up=False)
    clear = {"x": np.arange(8, dtype=np.float32)[None]}
    assert held.hangs_on_ties([{"x": np.ones((1, 8), np.float32)}])
    assert not held.hangs_on_ties([clear])

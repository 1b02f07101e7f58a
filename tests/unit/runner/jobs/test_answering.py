"""Questions of tasks are answered at sizes that follow them, as the timed size answers them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, ConfigError
from perfsuite.runner.jobs.answering import Answering

X = InputSpec("x", "float32", ("batch", 2))
MANIFEST = Manifest("fake", "cpu", "fp32", 1, (X,), ("y", "z"), False, False)


class Engine:
    """Doubles, and sums; notes the sizes that it was opened for, and what it was asked.

    Where `error` has a size, that is added to its answers, or raised if it is an exception. `more`
    gives further outputs of a call.
    """

    clock = None

    def __init__(self, error: dict[int, Any] | None = None, more: Any = None) -> None:
        self.error, self.more = error or {}, more or (lambda x: [])
        self.opened: list[int] = []
        self.asked: list[np.ndarray] = []
        self.open_now = 0

    @contextmanager
    def open(self, size: int) -> Iterator[Engine]:
        self.opened.append(size)
        self.open_now += 1
        assert self.open_now == 1, "one session at a time"
        yield self
        self.open_now -= 1

    def run(self, inputs: Inputs) -> Outputs:
        x = inputs["x"]
        size = self.opened[-1]
        assert len(x) == size
        assert x.flags.c_contiguous
        error = self.error.get(size, 0.0)
        if isinstance(error, BaseException):
            raise error
        self.asked.append(x.copy())
        return [2.0 * x + error, x.sum(axis=1), *self.more(x)]

    @property
    def sizes(self) -> list[int]:
        return [len(one) for one in self.asked]


def answering(engine: Engine, batch: int = 1, **changed: Any) -> Answering:
    outputs = tuple("yzabc"[: 2 + len(engine.more(np.zeros((1, 2))))])
    manifest = msgspec.structs.replace(MANIFEST, outputs=outputs, **changed)
    return Answering(engine.open, manifest, batch)  # type: ignore[arg-type]


def numbers(count: int) -> np.ndarray:
    return np.arange(2.0 * count, dtype=np.float32).reshape(count, 2)


def check_answers(count: int, outputs: Outputs) -> None:
    np.testing.assert_array_equal(outputs[0], 2.0 * numbers(count))
    np.testing.assert_array_equal(outputs[1], numbers(count).sum(axis=1))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 50, 51, 64, 100, 101])
@pytest.mark.parametrize("batch", [1, 3, 50])
def test_any_number_of_samples_is_answered(count: int, batch: int) -> None:
    engine = Engine()
    with answering(engine, batch) as predict:
        check_answers(count, predict({"x": numbers(count)}))
        assert predict.labels == ()
    assert engine.open_now == 0


def test_calls_have_the_size_that_is_asked_for() -> None:
    """The timed size is opened first, and answers eight samples."""
    engine = Engine()
    with answering(engine) as predict:
        for _ in range(3):
            predict({"x": numbers(20)})
    assert engine.opened == [1, 20]
    assert engine.sizes == [*[1] * 8, 20, 20, 20]


def test_one_sample_at_a_time_is_not_padded() -> None:
    engine = Engine()
    with answering(engine) as predict:
        for index in range(5):
            predict({"x": numbers(5)[index : index + 1]})
    assert (engine.opened, engine.sizes) == ([1], [1] * 5)


@pytest.mark.parametrize(("count", "sizes"), [(64, [32, 32]), (100, [50, 50]), (101, [34, 34, 34])])
def test_many_samples_are_shared_out_evenly(count: int, sizes: list[int]) -> None:
    engine = Engine()
    with answering(engine) as predict:
        check_answers(count, predict({"x": numbers(count)}))
    assert engine.sizes[8:] == sizes


def test_the_last_sample_fills_up_a_smaller_last_batch() -> None:
    engine = Engine()
    with answering(engine) as predict:
        predict({"x": numbers(6)})
        check_answers(4, predict({"x": numbers(4)}))
    assert engine.opened == [1, 6]
    np.testing.assert_array_equal(engine.asked[-1], numbers(4)[[0, 1, 2, 3, 3, 3]])


def test_a_fixed_batch_is_filled_up() -> None:
    engine = Engine()
    fixed = (InputSpec("x", "float32", (3, 2)),)
    with answering(engine, 3, inputs=fixed) as predict:
        check_answers(4, predict({"x": numbers(4)}))
        check_answers(3, predict({"x": numbers(3)}))
    assert engine.opened == [3]
    np.testing.assert_array_equal(engine.asked[1], numbers(4)[[3, 3, 3]])


def test_larger_questions_after_a_small_one_are_answered_in_larger_calls() -> None:
    engine = Engine()
    with answering(engine) as predict:
        predict({"x": numbers(1)})
        check_answers(50, predict({"x": numbers(50)}))
    assert engine.opened == [1, 50]


def test_much_padding_is_worth_a_smaller_session() -> None:
    engine = Engine()
    with answering(engine) as predict:
        predict({"x": numbers(50)})
        for _ in range(20):
            check_answers(2, predict({"x": numbers(2)}))
    assert engine.opened == [1, 50, 1, 2]
    assert engine.sizes.count(50) == 1 + 4  # each of which was padded by 48


def test_sizes_that_alternate_keep_their_session() -> None:
    engine = Engine()
    with answering(engine) as predict:
        for index in range(400):
            predict({"x": numbers(4 if index % 2 else 3)})
    assert engine.opened == [1, 3, 1, 4]


def test_the_digest_tells_samples_and_not_batches_apart() -> None:
    def digest(batch: int, *parts: np.ndarray) -> str:
        with answering(Engine(), batch) as predict:
            for part in parts:
                predict({"x": part})
            return predict.digest

    whole = digest(1, numbers(6))
    assert digest(4, numbers(6)) == whole
    assert digest(4, numbers(6)[:2], numbers(6)[2:]) == whole
    assert digest(4, numbers(5)) != whole
    assert digest(4, numbers(6)[::-1]) != whole


# -- what other sizes may not answer ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (0.0, ()),
        (0.009, ()),  # of at most 22
        (0.1, ("answered 1 at a time: answers at 6 differ",)),
        (math.nan, ("answered 1 at a time: answers at 6 differ",)),
        (ValueError("no"), ("answered 1 at a time: calls of 6 fail",)),
        (MemoryError("no"), ("answered 1 at a time: calls of 6 fail",)),
    ],
)
def test_a_size_that_fails_or_differs_is_not_used(error: Any, told: tuple[str, ...]) -> None:
    engine = Engine({6: error})
    with answering(engine) as predict:
        outputs = predict({"x": numbers(6)})
        if told:
            check_answers(6, outputs)
        check_answers(4, predict({"x": numbers(4)})) if told else None
        assert predict.labels == told
    assert engine.opened == ([1, 6, 1] if told else [1, 6])


def test_rounding_to_8_bits_may_change_more() -> None:
    engine = Engine({6: 0.5})
    with answering(engine, quantized=True) as predict:
        predict({"x": numbers(6)})
        assert predict.labels == ()


@pytest.mark.parametrize(
    ("more", "differs"),
    [
        (lambda x: np.full_like(x, -np.inf), False),  # masked scores are infinite on purpose
        (lambda x: np.zeros((len(x), 0)), False),  # no detection
        (lambda x: np.zeros((len(x), 1 + (len(x) > 1))), True),
        (lambda x: np.array(["cat"] * len(x)), False),
        (lambda x: np.array(["cat"] * (len(x) - 1) + ["dog"]), True),
    ],
)
def test_outputs_of_other_kinds_are_compared_too(more: Any, differs: bool) -> None:
    with answering(Engine(more=lambda x: [more(x)])) as predict:
        predict({"x": numbers(6)})
        assert predict.labels == ("answered 1 at a time: answers at 6 differ",) * differs


def test_what_fails_at_the_timed_size_too_is_raised() -> None:
    engine = Engine({1: ValueError("broken"), 6: ValueError("broken")})
    with answering(engine) as predict, pytest.raises(BuildError, match="ValueError: broken"):
        predict({"x": numbers(6)})


def test_nan_is_no_answer() -> None:
    told = "output 'y': 1 NaN and 0 infinite of 2 values"
    asked = "the samples that it was asked have such themselves: 'x' 1 NaN and 0 infinite of 2"
    with answering(Engine()) as predict, pytest.raises(BuildError, match=f"{told}; {asked}"):
        predict({"x": np.array([[np.nan, 1.0]], np.float32)})


def test_a_model_of_single_samples_is_asked_for_single_ones() -> None:
    engine = Engine({6: ValueError("a Reshape to [1, ...]")})
    with answering(engine, single=True) as predict:
        check_answers(6, predict({"x": numbers(6)}))
        assert predict.labels == ()  # the prepare job has told it
    assert engine.opened == [1]


# -- outputs and inputs that do not count samples --------------------------------------------------


def test_nothing_is_padded_for_an_output_of_the_whole_call() -> None:
    engine = Engine(more=lambda x: [np.array(x.mean()), np.ones((1, 7, 4))])
    with answering(engine) as predict:
        for count in (6, 4, 5):
            *answers, mean, anchors = predict({"x": numbers(count)})
            check_answers(count, answers)
            assert mean == numbers(count).mean()
            assert anchors.shape == (1, 7, 4)
        assert predict.labels == ()
    assert engine.opened == [1, 6, 1, 4, 1, 5]
    # The second question is padded, and then answered again as it is.
    assert [size for size in engine.sizes if size > 1] == [6, 6, 4, 5]


def test_what_is_the_same_in_every_call_is_given_once() -> None:
    engine = Engine(more=lambda x: [np.ones((1, 7, 4))])
    with answering(engine) as predict:
        *answers, anchors = predict({"x": numbers(120)})
        check_answers(120, answers)
        assert anchors.shape == (1, 7, 4)


def test_detections_of_several_calls_cannot_be_told_apart() -> None:
    """Any number of rows comes of a call, here half as many as there are samples."""
    engine = Engine(more=lambda x: [x[: len(x) // 2]])
    with answering(engine) as predict:
        assert predict({"x": numbers(6)})[2].shape == (3, 2)
        with pytest.raises(BuildError) as caught:
            predict({"x": numbers(120)})
    assert str(caught.value) == (
        "output 2 has the shape (20, 2) for a call of 40 samples: which of it is of which sample "
        "cannot be told; let rows() ask for one sample at a time"
    )


def test_detections_of_a_call_are_given_as_they_are() -> None:
    engine = Engine(more=lambda x: [np.ones((3, 7))])
    with answering(engine, 2, inputs=(InputSpec("x", "float32", (2, 2)),)) as predict:
        assert predict({"x": numbers(2)})[2].shape == (3, 7)
        with pytest.raises(BuildError, match="let rows\\(\\) ask for one sample at a time"):
            predict({"x": numbers(1)})


def test_samples_may_lie_on_another_axis() -> None:
    spec = (InputSpec("x", "float32", (5, "batch", 4)),)
    asked: list[tuple[int, ...]] = []

    class Sequences(Engine):
        def run(self, inputs: Inputs) -> Outputs:
            x = inputs["x"]
            asked.append(x.shape)
            return [x + 1.0, x.sum(axis=(0, 2))]

    engine = Sequences()
    x = np.arange(5 * 3 * 4, dtype=np.float32).reshape(5, 3, 4)
    with answering(engine, inputs=spec) as predict:
        moved, sums = predict({"x": x})
        np.testing.assert_array_equal(moved, x + 1.0)
        np.testing.assert_array_equal(sums, x.sum(axis=(0, 2)))
        np.testing.assert_array_equal(predict({"x": x[:, :2]})[0], x[:, :2] + 1.0)
    assert asked == [(5, 1, 4)] * 3 + [(5, 3, 4)] * 2


@pytest.mark.parametrize("side", ["batch", 1])
def test_an_input_that_all_samples_share_is_given_whole(side: str | int) -> None:
    spec = (InputSpec("x", "float32", (side, 2)), InputSpec("limit", "float32", (1,)))

    class Limited(Engine):
        def run(self, inputs: Inputs) -> Outputs:
            assert inputs["limit"].shape == (1,)
            return [np.minimum(one, inputs["limit"]) for one in super().run(inputs)]

    limit = np.array([7.0], np.float32)
    with answering(Limited(), inputs=spec) as predict:
        for count in (6, 4):
            doubled, _ = predict({"x": numbers(count), "limit": limit})
            np.testing.assert_array_equal(doubled, np.minimum(2.0 * numbers(count), 7.0))
        assert predict.labels == ()


def test_inputs_of_unequally_many_samples_are_told() -> None:
    spec = (X, InputSpec("w", "float32", ("batch",)))
    with answering(Engine(), inputs=spec) as predict:
        for count, other in ((2, 3), (0, 0)):
            with pytest.raises(ConfigError, match=r"so many samples: \{'x': .*give predict\(\)"):
                predict({"x": numbers(count), "w": np.zeros(other, np.float32)})


@pytest.mark.parametrize(("count", "wrong"), [(50, 37), (50, 49), (9, 8), (120, 110)])
def test_a_size_at_which_late_samples_differ_is_not_used(count: int, wrong: int) -> None:
    size = math.ceil(count / math.ceil(count / 50))
    error = np.zeros((size, 2))
    error[wrong % size :] = 1.0
    engine = Engine({size: error})
    with answering(engine) as predict:
        check_answers(count, predict({"x": numbers(count)}))
        assert predict.labels == (f"answered 1 at a time: answers at {size} differ",)


# -- samples of different sizes --------------------------------------------------------------------


class Pictures(Engine):
    """Gives the mean of pictures, of any size or of the `side` that it was built for."""

    def __init__(self, side: int | None = None) -> None:
        super().__init__()
        self.side = side

    def run(self, inputs: Inputs) -> Outputs:
        x = inputs["x"]
        if self.side not in (None, x.shape[2]):
            raise RuntimeError(f"Got: {x.shape[2]} Expected: {self.side}")
        return [x.mean(axis=(1, 2, 3)), x.max(axis=(1, 2, 3))]


def ragged() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = ((1, 3, 8, 8), (1, 3, 5, 9), (1, 3, 16, 4))
    return [rng.random(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("sides", [("h", "w"), (8, 8)])  # a module takes all, whatever was measured
def test_pictures_of_different_sizes(sides: tuple[int | str, ...]) -> None:
    spec = (InputSpec("x", "float32", ("batch", 3, *sides)),)
    engine = Pictures()
    with answering(engine, inputs=spec) as predict:
        for picture in ragged():
            np.testing.assert_allclose(predict({"x": picture})[0], [picture.mean()])
    assert engine.opened == [1]


def test_pictures_of_another_size_than_an_engine_takes_are_told() -> None:
    spec = (InputSpec("x", "float32", ("batch", 3, 8, 8)),)
    with answering(Pictures(side=8), inputs=spec) as predict:
        predict({"x": ragged()[0]})
        with pytest.raises(ConfigError) as caught:
            predict({"x": ragged()[1]})
    assert str(caught.value) == (
        "rows() asks with 'x' of the shape (1, 3, 5, 9), and what was built takes "
        "(batch, 3, 8, 8): bring samples to that size before predict(), or give an ONNX file with "
        "these sides open; of a torch module, which is exported for one size, only the runtime "
        "pytorch takes several"
    )

"""Open sides: told by a user, by samples, or by a trial; what nobody tells is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import GivenShapes, InputSpec
from perfsuite.errors import ConfigError
from perfsuite.workloads.onnx.samples import Samples, read_samples
from perfsuite.workloads.onnx.sides import Settled, settled, sides_of
from perfsuite.workloads.onnx.trial import Outcome

PICTURES = (InputSpec("x", "float32", ("x[0]", 3, "x[2]", "x[3]")),)  # (?, 3, ?, ?)
NAMED = (InputSpec("x", "float32", ("N", 3, "h", "w")),)
STEPS = (InputSpec("x", "float32", ("seq", "batch", 4)),)
TEXT = (InputSpec("ids", "int64", ("batch", "seq")), InputSpec("pos", "float32", ("seq",)))
FIXED = (InputSpec("x", "float32", (1, 3, 8, 8)),)


def settle(
    inputs: tuple[InputSpec, ...],
    shapes: GivenShapes | None = None,
    *,
    outcome: str = "batch",
    samples: Samples | None = None,
) -> Settled:
    """Return what comes of a trial with this outcome."""
    found: Any = Outcome(outcome, "for a reason")  # type: ignore[arg-type]
    return settled(sides_of(inputs, shapes or {}), samples, lambda given: found)


def refusal(inputs: tuple[InputSpec, ...], shapes: GivenShapes | None = None, **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        settle(inputs, shapes, **more)
    return str(caught.value)


def sides(found: Settled) -> list[tuple[int | str, ...]]:
    return [spec.shape for spec in found.inputs]


@pytest.mark.parametrize("shape", [(1, 3, 64, 48), ("?", 3, 64, 48), ("batch", 3, 64, 48)])
@pytest.mark.parametrize("inputs", [PICTURES, NAMED])
def test_the_batch_stays_open_and_other_sides_are_what_was_told(
    inputs: tuple[InputSpec, ...], shape: tuple[int | str, ...]
) -> None:
    found = settle(inputs, {"x": shape})
    assert (sides(found), found.only) == ([("batch", 3, 64, 48)], None)


def test_what_is_told_of_one_input_holds_for_the_others_of_that_name() -> None:
    found = settle(TEXT, {"ids": (1, 128)})
    assert sides(found) == [("batch", 128), (128,)]
    assert [spec.per_call for spec in found.inputs] == [False, True]
    assert settle(TEXT, {"pos": (128,)}).inputs == found.inputs
    inputs = (*NAMED, InputSpec("size", "float32", ("N", 2)))
    found = settle(inputs, {"x": ("batch", 3, 8, 8), "size": (1, 2)})
    assert sides(found) == [("batch", 3, 8, 8), ("batch", 2)]
    told = refusal(TEXT, {"ids": (1, 128), "pos": (64,)})
    assert told == "shapes: side 'seq' is 128 in 'ids' and 64 in 'pos', and is the same in both"


def test_the_batch_may_be_another_side_than_the_first() -> None:
    assert sides(settle(STEPS, {"x": (10, 1, 4)})) == [(10, "batch", 4)]
    two = (InputSpec("x", "float32", ("x[0]", "x[1]", 4)),)
    assert sides(settle(two, {"x": (10, "batch", 4)}, outcome="unclear")) == [(10, "batch", 4)]


def test_nothing_is_guessed() -> None:
    assert refusal(PICTURES) == (
        "its inputs have open sides of which nobody has said how long they are: 'x' is (?, 3, ?, "
        "?). Say it with --shape x=1x3xSIDE2xSIDE3, in a suite shapes = { <its name> = { x = [1, "
        "3, SIDE2, SIDE3] } }, with numbers for the words in capitals. Or give samples: --samples "
        'FILE.npz, in a suite samples = { <its name> = "FILE.npz" }'
    )
    assert "'ids' is (batch, seq); 'pos' is (seq,). Say it with --shape ids=1xSEQ" in refusal(TEXT)
    assert "--shape x=SEQx1x4," in refusal(STEPS)
    colon = (InputSpec("input:0", "float32", ("batch", "h", 3)),)  # which TOML takes quoted alone
    assert 'shapes = { <its name> = { "input:0" = [1, H, 3] } }' in refusal(colon)
    steps = (InputSpec("x", "float32", ("x[0]", 80)),)
    assert refusal(steps, outcome="unclear") == (
        "it is not clear whether the open side of its input 'x' (?, 80) counts samples: for a "
        "reason. Say it with --shape x=batchx80, in a suite shapes = { <its name> = { x = "
        '["batch", 80] } }, or with a number in place of `batch` if it does not'
    )


def test_a_number_where_the_batch_may_be() -> None:
    steps = (InputSpec("x", "float32", ("x[0]", 80)),)
    found = settle(steps, {"x": (10, 80)}, outcome="unclear")
    assert (sides(found), found.only, found.why) == ([(10, 80)], 1, "for a reason")
    assert found.inputs[0].per_call, "ten steps are no ten samples"
    single = settle(steps, {"x": (1, 80)}, outcome="unclear")
    assert (sides(single), single.only) == ([(1, 80)], 1)
    for inputs, shape in ((steps, (10, 80)), (NAMED, (10, 3, 8, 8))):
        assert refusal(inputs, {"x": shape}) == (
            "shapes: there is a 10 where input 'x' counts samples; write 1 or `batch` there, and "
            "say how many go into a call with --batch 10, in a suite batches = [10]"
        )


def test_only_one_sample_goes_in_where_a_trial_says_so() -> None:
    found = settle(NAMED, {"x": (1, 3, 8, 8)}, outcome="one")
    assert (sides(found), found.only) == ([(1, 3, 8, 8)], 1)
    assert found.why == "for a reason"
    assert not found.inputs[0].per_call


def test_what_cannot_be_tried_is_taken_at_its_word() -> None:
    pictures = (InputSpec("x", "float32", ("x[0]", 3, 8, 8)),)
    assert sides(settle(pictures, outcome="untried")) == [("batch", 3, 8, 8)]
    vectors = (InputSpec("x", "float32", ("x[0]", 8)),)
    assert "--shape x=batchx8" in refusal(vectors, outcome="untried")
    named = (InputSpec("x", "float32", ("n", 8)),)
    assert sides(settle(named, outcome="untried")) == [("batch", 8)]


def test_without_a_batch_a_call_is_one_sample() -> None:
    found = settle((InputSpec("x", "float32", ("frames", 80)),), {"x": (100, 80)})
    assert (sides(found), found.only) == ([(100, 80)], 1)
    assert found.inputs[0].per_call
    assert settle(FIXED) == Settled(FIXED)


def test_inputs_with_other_lengths_are_no_batch_together() -> None:
    inputs = (*PICTURES, InputSpec("boxes", "float32", ("boxes[0]", 4)))
    found = settle(inputs, {"x": (1, 3, 8, 8), "boxes": (100, 4)})
    assert sides(found) == [("batch", 3, 8, 8), (100, 4)]


@pytest.mark.parametrize(
    ("inputs", "shapes", "words"),
    [
        (NAMED, {"y": (1,)}, "shapes: it has no input 'y'; known: x"),
        (NAMED, {"x": (1, 3)}, "shapes: input 'x' has 4 sides, (N, 3, h, w), and 2 are given: (1,"),
        (
            NAMED,
            {"x": (1, 4, 8, 8)},
            "side 1 of input 'x' is 3 in the file, and 4 is given; export",
        ),
        (
            FIXED,
            {"x": ("batch", 3, 8, 8)},
            "is 1 in the file, and batch is given; export",
        ),
    ],
)
def test_shapes_that_do_not_fit(
    inputs: tuple[InputSpec, ...], shapes: GivenShapes, words: str
) -> None:
    assert words in refusal(inputs, shapes)


def read(path: Path, inputs: tuple[InputSpec, ...], **arrays: Any) -> Samples:
    np.savez(path, **arrays)
    found = sides_of(inputs, {})
    return read_samples(path, found.inputs, found.axes, found.fixed)


def test_samples_say_how_long_sides_are(tmp_path: Path) -> None:
    given = read(tmp_path / "s.npz", PICTURES, x=np.zeros((5, 3, 6, 8), np.float32))
    assert sides(settle(PICTURES, samples=given)) == [("batch", 3, 6, 8)]
    single = settle(PICTURES, samples=given, outcome="unclear")
    assert (sides(single), single.only) == ([(1, 3, 6, 8)], 1)


def test_sides_that_differ_between_samples_stay_open(tmp_path: Path) -> None:
    sizes = {f"x/{i}": np.zeros((3, 6, 8 + i % 2), np.float32) for i in range(4)}
    given = read(tmp_path / "s.npz", PICTURES, **sizes)
    assert sides(settle(PICTURES, samples=given)) == [("batch", 3, 6, "x[3]")]


def test_samples_that_contradict_a_name_are_told(tmp_path: Path) -> None:
    arrays = {"ids": np.zeros((5, 7), np.int64), "pos": np.zeros(6, np.float32)}
    given = read(tmp_path / "s.npz", TEXT, **arrays)
    assert refusal(TEXT, samples=given) == (
        "side 'seq' is 7 in 'ids' and 6 in 'pos', and is the same in both"
    )


def test_an_input_with_a_first_side_of_one_has_samples_of_its_own(tmp_path: Path) -> None:
    inputs = (*NAMED, InputSpec("size", "float32", (1, 2)))
    arrays = {"x": np.zeros((5, 3, 8, 8), np.float32), "size": np.zeros((5, 2), np.float32)}
    found = settle(inputs, samples=read(tmp_path / "s.npz", inputs, **arrays))
    assert (sides(found), found.only) == ([(1, 3, 8, 8), (1, 2)], 1)
    assert found.why == "the first side of 'size' is fixed to 1"
    assert not any(spec.per_call for spec in found.inputs)

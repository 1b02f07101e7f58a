"""What each part loses and gains alone: by hand from stored records, the worst first."""

from __future__ import annotations

from typing import Any

import pytest
from judged_runs import accuracy, record, run, warned
from msgspec.structs import replace

from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.record import Failure, Likeness, Record, Run
from perfsuite.domain.sensitivity import Sensitivity, Unit
from perfsuite.domain.verdict import Interval
from perfsuite.judge import judge
from perfsuite.judge.sensitivity import Part, sensitivities

MS = 1e-3


def cell(part: str) -> Cell:
    return Cell("vgg", f"int8@{part}", "openvino")


WHOLE = record(Cell("vgg", "fp32", "openvino"), *(10 * MS,) * 4, accuracies=(accuracy(0.9),))


def part(name: str, times_ms: tuple[float, ...], value: float | None, **fields: Any) -> Record:
    accuracies = () if value is None else (accuracy(value, fields.pop("spread", 0.0)),)
    return record(cell(name), *(MS * one for one in times_ms), accuracies=accuracies, **fields)


def asked(*records: Record, validates: bool = True) -> Run:
    names = [one.cell.recipe.removeprefix("int8@") for one in records]
    units = tuple(Unit(name, "int8", f"int8@{name}", (name,)) for name in names)
    recipes = tuple(
        ResolvedRecipe(one.recipe, (PassUse("int8", {"layers": [one.name]}),)) for one in units
    )
    return run(
        WHOLE,
        *records,
        recipes=(FP32, *recipes),
        sensitivity=Sensitivity("layer", units, {}, validates),
    )


def only(found: list[Part]) -> Part:
    (one,) = found
    return one


def test_points_and_milliseconds_and_their_quotient() -> None:
    """10 ms become 8 ms, 90 % become 89 %: one point for two milliseconds."""
    one = only(sensitivities(asked(part("a", (8.0,) * 4, 0.89))))
    assert (one.name, one.use, one.layers, one.status) == ("a", "int8", ("a",), "ok")
    assert one.cell == "vgg/int8@a/openvino/cpu/b1"
    assert one.metric == "top1"
    assert one.points_lost is not None and one.points_lost.value == pytest.approx(1.0)
    assert one.saved_s is not None and one.saved_s.value == pytest.approx(2 * MS)
    assert one.lost_per_ms is not None and one.lost_per_ms.value == pytest.approx(0.5)


def test_the_interval_of_the_quotient_has_the_worst_and_the_best_of_both() -> None:
    one = only(sensitivities(asked(part("a", (7.9, 8.0, 8.1, 8.0), 0.89, spread=0.004))))
    lost, saved, quotient = one.points_lost, one.saved_s, one.lost_per_ms
    assert lost is not None and saved is not None and quotient is not None
    assert 0 < saved.low < 2 * MS < saved.high
    assert quotient.high == pytest.approx(lost.high / (saved.low / MS))
    assert quotient.low == pytest.approx(lost.low / (saved.high / MS))
    assert quotient.low < quotient.value < quotient.high


@pytest.mark.parametrize(
    ("times", "faster", "slower"),
    [
        ((8.0,) * 4, True, False),
        ((12.0,) * 4, False, True),
        ((10.0,) * 4, False, False),
        ((8.0, 12.0, 9.0, 11.5), False, False),
    ],
)
def test_there_is_no_quotient_unless_time_is_proven_to_be_saved(
    times: tuple[float, ...], faster: bool, slower: bool
) -> None:
    one = only(sensitivities(asked(part("a", times, 0.89))))
    assert (one.is_faster, one.is_slower) == (faster, slower)
    assert (one.lost_per_ms is not None) == faster


def test_the_worst_comes_first() -> None:
    """What loses for nothing, then by points a millisecond, what is not proven, what failed."""
    failed = part("e", (), None, status="failed", error=Failure("BuildError", "why"))
    found = sensitivities(
        asked(
            failed,
            part("nothing", (9.0, 11.0, 9.5, 10.5), 0.9),
            part("open", (9.0, 11.0, 9.5, 10.5), 0.8999, spread=0.01),
            part("cheap", (8.0,) * 4, 0.899),
            part("dear", (9.0,) * 4, 0.88),
            part("slow", (11.0,) * 4, 0.9),
            part("a little", (10.0,) * 4, 0.892, spread=0.001),
            part("vain", (10.0,) * 4, 0.85, spread=0.001),
        )
    )
    assert [one.name for one in found] == [
        "vain", "a little", "slow", "dear", "cheap", "open", "nothing", "e",
    ]  # fmt: skip
    assert (found[-1].reason, found[-1].saved_s) == ("why", None)


def test_what_loses_exactly_nothing_is_not_proven_to_lose() -> None:
    same = replace(WHOLE, artifact="x")
    nothing = part("nothing", (9.0, 11.0, 9.5, 10.5), 0.9, artifact="x")
    maybe = part("maybe", (9.0, 11.0, 9.5, 10.5), 0.8999)
    made = asked(nothing, maybe)
    made.records[WHOLE.cell.id] = same
    found = sensitivities(made)
    assert [one.name for one in found] == ["maybe", "nothing"]
    assert found[1].points_lost == Interval(0.0, 0.0, 0.0)


def test_a_part_of_which_no_loss_is_known_has_no_quotient() -> None:
    one = only(sensitivities(asked(part("a", (8.0,) * 4, None), validates=False)))
    assert (one.metric, one.points_lost, one.error_percent) == ("", None, None)
    assert one.is_faster and one.lost_per_ms is None
    likeness = (Likeness("y", 0.99, 0.005, 8),)
    other = part("b", (9.0, 11.0, 9.5, 10.5), None, likeness=likeness)
    plain = part("a", (9.0, 11.0, 9.5, 10.5), None)
    assert [one.name for one in sensitivities(asked(plain, other, validates=False))] == ["b", "a"]


def test_too_few_processes_tell_no_time() -> None:
    made = asked(part("a", (8.0,), 0.89))
    one = only(sensitivities(made))
    assert one.points_lost is not None
    assert (one.saved_s, one.lost_per_ms, one.is_faster, one.is_slower) == (
        None,
        None,
        False,
        False,
    )


def test_a_run_that_was_cut_short_says_so() -> None:
    one = only(sensitivities(asked(part("a", (), None, status="incomplete"))))
    assert (one.status, one.reason) == (
        "incomplete", "the run was cut short; --resume goes on with it",
    )  # fmt: skip


def test_without_validation_samples_it_is_the_error_of_the_outputs() -> None:
    likeness = (Likeness("y", 0.99, 0.04, 8), Likeness("z", 0.95, 0.3, 8))
    one = only(
        sensitivities(asked(part("a", (8.0,) * 4, None, likeness=likeness), validates=False))
    )
    assert one.points_lost is None
    assert one.error_percent == pytest.approx(30.0)  # of the output that differs most
    assert one.lost_per_ms is not None and one.lost_per_ms.value == pytest.approx(15.0)


def test_without_its_reference_a_part_has_no_numbers() -> None:
    made = asked(part("a", (8.0,) * 4, 0.89))
    made.records[WHOLE.cell.id] = record(WHOLE.cell, status="failed")
    one = only(sensitivities(made))
    assert (one.points_lost, one.saved_s, one.lost_per_ms) == (None, None, None)


def test_a_run_that_asks_for_none_has_none() -> None:
    assert sensitivities(run(WHOLE)) == []


def test_a_part_that_cannot_be_compressed_alone_is_an_answer_and_no_mistake() -> None:
    refused = part(
        "b", (), None, status="unsupported", error=Failure("Unsupported", "it is no faster\nmore")
    )
    judgement = judge(asked(part("a", (12.0,) * 4, 0.89, int8_share=0.1), refused))
    assert judgement.exit_code == 0
    assert judgement.verdicts == ()
    assert (
        warned(judgement) == ()
    )  # that it is not faster, and little ran in 8 bits, is the table's


def test_one_that_fails_is_told_as_ever() -> None:
    broken = part("b", (), None, status="failed", error=Failure("BuildError", "broken"))
    assert judge(asked(broken)).exit_code == 2


def test_if_the_whole_net_is_unsupported_that_is_no_answer() -> None:
    made = asked(part("a", (8.0,) * 4, 0.89))
    made.records[WHOLE.cell.id] = record(WHOLE.cell, status="unsupported")
    assert judge(made).exit_code == 2

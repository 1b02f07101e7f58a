"""The answer of a search in words."""

from __future__ import annotations

import pytest
from judged_runs import MACHINE

from perfsuite.domain.optimum import Candidate, Goal, Optimum, SpeedBound, Tested
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.verdict import Interval
from perfsuite.report import optimum_document, optimum_markdown
from perfsuite.report.sentences.optimum import explanations, headline, why_text

GOAL = Goal(speedup=12.0, max_drop_points=1.0, versus="pytorch/fp32", minutes=60.0)


def candidate(name: str, **fields: object) -> Candidate:
    known: dict[str, object] = {
        "recipe": ResolvedRecipe(name),
        "outcome": "met",
        "key": f"net/{name}/openvino/cpu/b1",
        "runtime": "openvino",
        "precision": "fp32",
    }
    return Candidate(**(known | fields))  # type: ignore[arg-type]


def exactly(value: float) -> Interval:
    return Interval(value, value, value)


FAST = candidate("int8", outcome="chosen", speedup=exactly(7.0), loss_points=exactly(0.4))
LOSSY = candidate(
    "prune-25",
    outcome="loses_too_much",
    speedup=exactly(13.0),
    loss_points=exactly(2.34),
    loss_error=0.3,
)


def optimum(*candidates: Candidate, **fields: object) -> Optimum:
    known: dict[str, object] = {
        "schema": 1,
        "perfsuite": "0",
        "created_at": "2026-01-01",
        "workload": "net",
        "goal": GOAL,
        "machine": MACHINE.must_match,
        "reference": "net/fp32/pytorch/cpu/b1",
        "metric": "top1",
        "exit_code": 1,
        "candidates": candidates,
        "best": FAST.key,
        "spent_s": 600.0,
    }
    return Optimum(**(known | fields))  # type: ignore[arg-type]


def test_the_answer_in_one_sentence() -> None:
    target = "at least 12x as fast as pytorch/fp32 and at most 1 point of top1 lost"
    assert headline(optimum(FAST)) == (
        f"The target is not met: {target}. The best found is int8 on openvino."
    )
    assert headline(optimum(FAST, exit_code=0)) == (
        f"int8 on openvino meets the target, {target}: proven on the test samples."
    )
    assert headline(optimum(FAST, exit_code=3)).startswith("It cannot be told whether")
    assert headline(optimum(best="", exit_code=3)).startswith("Nothing that was tried")


@pytest.mark.parametrize(("least", "told"), [(1.6, True), (1.4, False)])
def test_losses_that_are_overstated_on_the_validation_samples_are_told(
    least: float, told: bool
) -> None:
    lossy = candidate(
        "prune-50",
        loss_points=Interval(5.0, least, 6.1),
        test=Tested(loss_points=Interval(1.0, 0.6, 1.5)),
    )
    found = [one for one in explanations(optimum(FAST, lossy)) if "overstated" in one]
    assert bool(found) is told
    if told:
        assert found[0].startswith(
            "prune-50 on openvino loses 5 points on the validation samples and 1 on those for "
        )
    assert not [
        one for one in explanations(optimum(FAST, lossy, exit_code=0)) if "overstated" in one
    ]


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (FAST, "the best found"),
        (candidate("a"), "keeps both limits here; the chosen one is faster"),
        (candidate("a", outcome="too_slow", speedup=exactly(9.1)), "too slow: 9.1x of 12x"),
        (
            candidate("a", outcome="too_slow", speedup=Interval(3.1, 0.1, 96.0)),
            "too slow: 3.1x of 12x, which is noise",
        ),
        (LOSSY, "loses too much: 2.34 ± 0.3 of 1 points"),
        (candidate("a", outcome="failed", detail="no kernel"), "failed: no kernel"),
        (candidate("a", outcome="not_trained", why="no_time"), "not trained: no time left"),
        (
            candidate("a", outcome="not_trained", why="no_time", needed_s=5400.0),
            "not trained: no time left, it takes 90 min at least",
        ),
        (
            candidate("a", outcome="not_tried", why="target_met"),
            "not tried: the target is met without it",
        ),
        (
            candidate("a", outcome="not_tried", why="lacks", detail="no training samples"),
            "not tried: no training samples",
        ),
    ],
)
def test_why_a_candidate_was_chosen_or_not(one: Candidate, text: str) -> None:
    assert why_text(one, GOAL) == text


def test_how_near_it_came_and_what_bounds_it() -> None:
    bound = SpeedBound("features", 0.002, LOSSY.key, 7.2)
    said = list(explanations(optimum(FAST, LOSSY, bound=bound)))
    assert "Within the allowed loss the fastest is int8 on openvino: 7x of 12x." in said
    assert "At the asked speed prune-25 on openvino loses least: 2.34 of 1 points." in said
    assert (
        f"What bounds it: 'features' takes at least 2 ms in all that was tried (in {LOSSY.key}), "
        f"so even if all else took no time, it would be 7.2x as fast."
    ) in said
    assert "It took 10.0 of 60 minutes." in said


def test_a_stage_that_leaves_room_for_the_target_does_not_bound_it() -> None:
    bound = SpeedBound("features", 0.002, LOSSY.key, 14.0)
    (said,) = (one for one in explanations(optimum(FAST, bound=bound)) if "features" in one)
    assert said.startswith("No stage alone keeps it from the target: of all, 'features' takes at")


@pytest.mark.parametrize(
    ("metric", "end"),
    [("top1", "only the test samples judge it."), ("", "nothing is known of what it loses.")],
)
def test_what_was_chosen_blindly_is_told_as_that(metric: str, end: str) -> None:
    blind = optimum(FAST, metric=metric, without={"validation": "there are none"})
    (said,) = (one for one in explanations(blind) if "to choose by" in one)
    assert "or else the fastest, and " in said
    assert said.endswith(end)


def test_another_that_would_pass_on_the_test_samples_is_no_proof() -> None:
    tested = Tested(speedup=exactly(13.0), loss_points=exactly(0.9))
    said = " ".join(explanations(optimum(FAST, candidate("other", test=tested, front=True))))
    assert "other on openvino keeps both limits on the test samples, but was not chosen" in said
    assert "not chosen before" not in " ".join(explanations(optimum(FAST)))


def test_the_documents_hold_all_candidates() -> None:
    found = optimum(FAST, LOSSY, warnings=("a | b",))
    document = optimum_document(found)
    assert [one.words for one in document.candidates] == [
        why_text(one, GOAL) for one in (FAST, LOSSY)
    ]
    assert document.words[0] == headline(found)
    page = optimum_markdown(found)
    assert "| \\* | int8 | openvino | 7x (7-7) | 0.4 |" in page
    assert "loses too much: 2.34 ± 0.3 of 1 points" in page
    assert "- a \\| b" in page

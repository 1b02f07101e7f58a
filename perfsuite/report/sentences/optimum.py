"""What a search has found, in words."""

from __future__ import annotations

from collections.abc import Iterator

from perfsuite.domain.optimum import Candidate, Goal, Optimum, SpeedBound
from perfsuite.domain.verdict import Interval
from perfsuite.report import words
from perfsuite.report.sentences.verdict import verdict_sentence

RULE = (
    "Chosen on the validation samples: the fastest candidate whose speed-up and loss both keep "
    "their limits by one standard error; where none does, the fastest that keeps the loss, or else "
    "the one that loses least. The verdicts are on the test samples, which were answered once, by "
    "what the table of them shows."
)
_BLIND = (
    "There are no validation samples to choose by: chosen was the least compression that is fast "
    "enough, or else the fastest, "
)
_TESTED = "and only the test samples judge it."
_UNTESTED = "and nothing is known of what it loses."


def headline(found: Optimum) -> str:
    """Return the answer in one sentence."""
    best, goal = found.candidate(found.best), target_text(found.goal, found.metric)
    if best is None:
        return f"Nothing that was tried could be measured; asked was {goal}."
    what = f"{best.recipe.name} on {engine_text(best)}"
    if found.exit_code == 0:
        return f"{what} meets the target, {goal}: proven on the test samples."
    if found.exit_code == 1:
        return f"The target is not met: {goal}. The best found is {what}."
    return f"It cannot be told whether the target is met: {goal}. The best found is {what}."


def target_text(goal: Goal, metric: str) -> str:
    """Return `at least 5x as fast as pytorch/fp32 and at most 1 point of top1 lost`."""
    points = words.points(goal.max_drop_points)
    lost = f"{points} point{'s' * (points != '1')} of {metric or 'accuracy'} lost"
    return f"at least {words.times(goal.speedup)} as fast as {goal.versus} and at most {lost}"


def engine_text(one: Candidate) -> str:
    """Return the engine and, where it is not fp32, the precision."""
    return one.runtime if one.precision == "fp32" else f"{one.runtime} in {one.precision}"


def explanations(found: Optimum) -> Iterator[str]:
    """Yield what else is to be said: verdicts, the rule, bounds, what was lacking, the time."""
    for verdict in found.verdicts:
        yield f"{verdict.budget}: {verdict_sentence(verdict)}"
    blind = _BLIND + (_TESTED if found.metric else _UNTESTED)
    yield blind if "validation" in found.without else RULE
    if found.exit_code != 0:
        yield from _others_on_test(found)
        yield from _nearest(found)
        yield from _overstated(found)
    if found.bound is not None:
        yield _bound_text(found.bound, found.goal)
    for what, why in found.without.items():
        yield f"No {what} samples: {why}."
    minutes, limit = found.spent_s / 60.0, found.goal.minutes
    over = ", longer than allowed" if minutes > limit else ""
    yield f"It took {minutes:.1f} of {words.number(limit)} minutes{over}."


def _bound_text(bound: SpeedBound, goal: Goal) -> str:
    said = (
        f"'{bound.stage}' takes at least {words.seconds(bound.time_s)} in all that was tried (in "
        f"{bound.key}), so even if all else took no time, it would be "
        f"{words.times(bound.speedup)} as fast."
    )
    if bound.speedup < goal.speedup:
        return f"What bounds it: {said}"
    return f"No stage alone keeps it from the target: of all, {said}"


def _others_on_test(found: Optimum) -> Iterator[str]:
    """Tell of others of the front that keep both limits on the test samples."""
    goal = found.goal
    for one in found.candidates:
        if one.key == found.best or one.test is None:
            continue
        speedup, loss = one.test.speedup, one.test.loss_points
        if speedup is None or loss is None:
            continue
        if speedup.low >= goal.speedup and loss.high <= goal.max_drop_points:
            yield (
                f"{one.recipe.name} on {engine_text(one)} keeps both limits on the test samples, "
                f"but was not chosen before; to choose it by them now would not be a proof."
            )


def _overstated(found: Optimum) -> Iterator[str]:
    """Tell of the loss of a candidate that is proven to be higher on the validation samples.

    A reference that was trained on these answers them better than any other samples.
    """
    for one in found.candidates:
        tested = one.test.loss_points if one.test is not None else None
        if tested is None or one.loss_points is None or one.loss_points.low <= tested.high:
            continue
        yield (
            f"{one.recipe.name} on {engine_text(one)} loses {words.points(one.loss_points.value)} "
            f"points on the validation samples and {words.points(tested.value)} on those for "
            f"testing: where the model has seen the former in its own training, losses are "
            f"overstated, and what would do is left out. Task.validation can give samples that it "
            f"has not seen."
        )
        return


def _nearest(found: Optimum) -> Iterator[str]:
    """Tell how near the search came: the fastest within the loss, the least loss at the speed."""
    goal = found.goal
    known = [one for one in found.candidates if one.speedup and not one.untrained]
    within = [one for one in known if one.loss_points and _value(one) <= goal.max_drop_points]
    fastest = max(within, key=lambda one: one.speedup.value if one.speedup else 0.0, default=None)
    if fastest is not None and fastest.speedup is not None:
        yield (
            f"Within the allowed loss the fastest is {fastest.recipe.name} on "
            f"{engine_text(fastest)}: {_of(fastest.speedup, goal.speedup)}."
        )
    fast = [one for one in known if one.speedup and one.speedup.value >= goal.speedup]
    least = min((one for one in fast if one.loss_points), key=_value, default=None)
    if least is not None and least is not fastest:
        yield (
            f"At the asked speed {least.recipe.name} on {engine_text(least)} loses least: "
            f"{words.points(_value(least))} of {words.points(goal.max_drop_points)} points."
        )


def why_text(one: Candidate, goal: Goal) -> str:
    """Return why a candidate was chosen or not."""
    if one.outcome == "chosen":
        return "the best found"
    if one.outcome == "met":
        return "keeps both limits here; the chosen one is faster"
    if one.outcome == "too_slow":
        before = " even untrained" if one.untrained else ""
        return f"too slow{before}: {_of(one.speedup, goal.speedup)}"
    if one.outcome == "loses_too_much":
        lost, error = words.points(_value(one)), words.points(one.loss_error or 0.0)
        return f"loses too much: {lost} ± {error} of {words.points(goal.max_drop_points)} points"
    if one.outcome == "not_judged":
        return "fast enough; less compression was chosen, as no validation samples tell its loss"
    if one.outcome == "failed":
        return f"failed: {one.detail}"
    return f"{one.outcome.replace('_', ' ')}: {_lacking(one)}"


def _lacking(one: Candidate) -> str:
    if one.why == "target_met":
        return "the target is met without it"
    if one.why in ("lacks", "failed"):
        return one.detail
    if one.needed_s is not None:
        return f"no time left, it takes {words.number(one.needed_s / 60.0)} min at least"
    return f"no time left: {one.detail}" if one.detail else "no time left"


def _of(speedup: Interval | None, asked: float) -> str:
    if speedup is None:
        return "not measured"
    noisy = ", which is noise" if words.is_noise(speedup) else ""
    return f"{words.times(speedup.value)} of {words.times(asked)}{noisy}"


def _value(one: Candidate) -> float:
    return one.loss_points.value if one.loss_points is not None else 0.0

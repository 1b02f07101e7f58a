"""The answer of a search, from all that it has found."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import msgspec

from perfsuite import __version__
from perfsuite.domain.optimum import OPTIMUM_SCHEMA, Candidate, Optimum, Outcome, SpeedBound
from perfsuite.judge.amdahl import speed_bound
from perfsuite.judge.metrics import typical_latency
from perfsuite.measure.environment import environment
from perfsuite.search import rules
from perfsuite.search.candidates import recipe
from perfsuite.search.final import Final, judged
from perfsuite.search.plans import Left
from perfsuite.search.scores import Score
from perfsuite.search.search import Search
from perfsuite.search.ways import Way

ENDED = "ended"


class Ended(msgspec.Struct, frozen=True):
    """How a search has ended, and how many minutes it was given."""

    exit_code: int | None = None
    minutes: float = math.inf


def optimum(search: Search) -> Optimum:
    """Return the answer of a search that has tried all that it could, after its final run."""
    scores, goal = search.scores, search.goal
    best = search.winner or rules.nearest(scores, goal, blind=search.blind)
    front = rules.front(scores)
    final = Final() if best is None else judged(search, best, front)
    created = search.decisions.once(
        "answered", str, lambda: datetime.now(UTC).isoformat(timespec="seconds")
    )
    ended = Ended(final.exit_code, goal.minutes)
    search.decisions.once(ENDED, Ended, lambda: ended)
    return Optimum(
        schema=OPTIMUM_SCHEMA,
        perfsuite=__version__,
        created_at=created,
        workload=search.reference.workload,
        goal=goal,
        machine=environment().must_match,
        reference=search.reference.key,
        metric=search.survey.metric,
        exit_code=final.exit_code,
        candidates=tuple(_candidates(search, best, front, final)),
        reference_latency_s=typical_latency(search.reference_record),
        reference_accuracy=final.accuracy,
        best=best.cell.key if best is not None else "",
        verdicts=final.verdicts,
        bound=_bound(search, final.exit_code),
        without=search.survey.without,
        spent_s=search.decisions.once("spent_s", float, lambda: search.spent_s),
        warnings=tuple(dict.fromkeys(search.warnings)),
    )


def _bound(search: Search, exit_code: int) -> SpeedBound | None:
    """Return what bounds the speed, where the target was not met."""
    met = exit_code == 0 or any(rules.is_fast(one, search.goal) for one in search.scores)
    return None if met else speed_bound(search.reference_record, search.records)


def _candidates(
    search: Search, best: Score | None, front: list[Score], final: Final
) -> list[Candidate]:
    """Return all candidates: the best, the others that are ready by speed, then those left out."""
    ready = {one.place for one in search.scores}
    ordered = sorted(search.scores, key=lambda one: (one is not best, -_speed(one)))
    found = [
        _candidate(one, _outcome(search, one, best), front=one in front, final=final)
        for one in ordered
    ]
    untrained = [one for one in search.timed if one.place not in ready]
    found += [_untrained(search, one) for one in untrained]
    dropped = search.dropped.values()
    found += [_left(Candidate(one, "not_tried"), Left("no_time")) for one in dropped]
    tried = {one.row for one in (*search.scores, *search.timed)}
    for row in search.rows:
        if row.name not in tried:
            left = search.left[row.name]
            asked = recipe(row, Way(""), plan={} if row.schedule else None)
            found.append(_left(Candidate(asked, "not_tried"), left))
    return found


def _outcome(search: Search, one: Score, best: Score | None) -> Outcome:
    """Return what became of a candidate that is ready; slowness comes before loss."""
    if one.late:
        return "not_tried"
    if one.error:
        return "failed"
    if one is best:
        return "chosen"
    if not rules.is_fast(one, search.goal):
        return "too_slow"
    if one.loss is None:
        return "not_judged"
    return "met" if rules.keeps_accuracy(one, search.goal) else "loses_too_much"


def _untrained(search: Search, one: Score) -> Candidate:
    """Return a candidate that was only timed, and why it was not trained."""
    shown = _candidate(one, "failed" if one.error and not one.late else "not_trained")
    shown = msgspec.structs.replace(shown, untrained=True)
    if one.error:
        return shown
    if rules.is_too_slow(one, search.goal):
        return msgspec.structs.replace(shown, outcome="too_slow")
    return _left(shown, search.left.get(one.row, Left("no_time")))


def _left(one: Candidate, left: Left) -> Candidate:
    return msgspec.structs.replace(one, why=left.why, detail=left.detail, needed_s=left.needed_s)


def _candidate(
    one: Score, outcome: Outcome, *, front: bool = False, final: Final | None = None
) -> Candidate:
    loss = one.loss
    return Candidate(
        recipe=one.recipe,
        outcome=outcome,
        key=one.cell.key,
        runtime=one.way.runtime,
        precision=one.way.precision,
        why="no_time" if one.late else "",
        detail=one.error,
        speedup=one.speedup.interval if one.speedup is not None else None,
        loss_points=loss.interval if loss is not None else None,
        loss_error=loss.high - loss.value if loss is not None else None,
        latency_s=one.latency_s,
        size_bytes=one.size_bytes,
        front=front,
        test=final.tested.get(one.cell.key) if final is not None else None,
    )


def _speed(one: Score) -> float:
    return one.speedup.value if one.speedup is not None else 0.0

"""From changes of known size that were measured on a machine to what it can see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from perfsuite.domain.cell import Cell
from perfsuite.domain.certificate import (
    CERTIFICATE_SCHEMA,
    Certificate,
    CertifiedCell,
    KnownChange,
    Power,
    Visible,
)
from perfsuite.domain.looks import Looks
from perfsuite.domain.metrics import LATENCY, METRICS
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.record import Line, Record, Run
from perfsuite.domain.verdict import Interval
from perfsuite.errors import PerfsuiteError
from perfsuite.judge import intervals, metrics
from perfsuite.judge.decisions import SLACK
from perfsuite.judge.replay import Noise, Replay, noise_about_known

LOOKS = Looks()  # the plan of the gates that a certificate speaks of
FLOOR = METRICS[LATENCY].floor or 0.0
GATES = 100  # of each cell that are replayed at a time
MOST_ROUNDS = (4, 6, 8, 12, 16, 24)  # of suites whose visible changes are told
_TRIED = (0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
_LEAST_BLOCKS = 3  # of rounds, to tell what differs between runs


class _Variant(NamedTuple):
    """A cell slowed down by a known share, beside itself: a log ratio for each round."""

    effect: float
    log_ratios: list[float]


class _Measured(NamedTuple):
    """One cell with its variants, and the log latencies of all of them without what was added."""

    key: str
    variants: list[_Variant]
    levels: list[list[float]]

    @property
    def noise(self) -> Noise:
        return noise_about_known([one.log_ratios for one in self.variants])

    @property
    def variance(self) -> float:
        return float(np.mean([np.var(one.log_ratios, ddof=1) for one in self.variants]))


def certify(run: Run, lines: Iterable[Line], suite: str) -> Certificate:
    """Return the certificate of a run in which cells were measured beside their slowed-down selves.

    `lines` are those of its journal, which say how long its processes took; `suite` is the name of
    the suite that its cells are of. Raises `PerfsuiteError`, with what went wrong, if no cell of
    the run has all its rounds.
    """
    measured = list(_measured(run))
    if not measured:
        raise PerfsuiteError(_nothing(run))
    noises = [one.noise for one in measured]
    replay = Replay(noises, LOOKS, FLOOR, GATES)
    effects = sorted({one.effect for cell in measured for one in cell.variants} - {0.0})
    return Certificate(
        schema=CERTIFICATE_SCHEMA,
        created_at=run.header.created_at,
        perfsuite=run.header.perfsuite,
        machine=run.header.environment.must_match,
        suite=suite,
        quick=run.header.quick,
        looks=LOOKS,
        rounds=min(len(noise) for noise in noises),
        round_s=_round_s(lines),
        spread=math.sqrt(float(np.mean([one.variance for one in measured]))),
        between_runs=between_runs([level for one in measured for level in one.levels]),
        false_alarms=replay.interval_of_red(0.0),
        coverage=coverage(measured),
        power=tuple(Power(effect, replay.interval_of_red(effect)) for effect in effects),
        visible=visible(noises),
        cells=tuple(_certified(one) for one in measured),
    )


def _round_s(lines: Iterable[Line]) -> float:
    """Return the seconds of a cell's process and its baseline's, each with its start."""
    taken = [line.duration_s for line in lines if line.job == "measure" and line.status == "ok"]
    return round(2.0 * math.fsum(taken) / max(1, len(taken)), 3)


def _measured(run: Run) -> Iterator[_Measured]:
    """Yield each cell that was measured in full, and so were all its variants."""
    for original, slowed in _variants(run):
        records = [run.records[cell.id] for cell in (original, *slowed)]
        if any(record.status in ("failed", "unsupported", "unavailable") for record in records):
            continue
        effects = [0.0, *slowed.values()]
        variants = [
            _Variant(effect, metrics.log_ratios(record, records[0]))
            for effect, record in zip(effects[1:], records[1:], strict=True)
        ]
        counts = {len(one.log_ratios) for one in variants}
        if len(counts) == 1 and counts.pop() >= LOOKS.first:
            levels = [_levels(*pair) for pair in zip(records, effects, strict=True)]
            yield _Measured(original.key, variants, levels)


def _variants(run: Run) -> Iterator[tuple[Cell, dict[Cell, float]]]:
    """Yield each cell with its variants, which differ in the recipe's slow-down alone, and that."""
    recipes = {recipe.name: recipe for recipe in run.header.suite.recipes}
    found: dict[bytes, dict[Cell, float]] = {}
    for cell in run.header.cells:
        recipe = recipes[cell.recipe]
        alike = msgspec.structs.replace(cell, recipe="")
        what = msgspec.json.encode((alike, _without_slowdown(recipe)), order="sorted")
        found.setdefault(what, {})[cell] = recipe.slowdown
    for cells in found.values():
        original, *slowed = cells
        if slowed:
            yield original, {cell: cells[cell] for cell in slowed}


def _without_slowdown(recipe: ResolvedRecipe) -> ResolvedRecipe:
    return msgspec.structs.replace(recipe, name="", slowdown=0.0)


def _levels(record: Record, effect: float) -> list[float]:
    """Return the log latencies of its processes, without the slow-down, in the order of rounds."""
    found = intervals.process_statistics(record.latencies_s)
    return [math.log(median) - math.log1p(effect) for median in found.values()]


def _nothing(run: Run) -> str:
    errors = {
        f"{record.cell.key}: {record.error.message}"
        for record in run.records.values()
        if record.error is not None
    }
    why = "; ".join(sorted(errors)) or f"a cell needs {LOOKS.first} rounds, so finish it (--resume)"
    return f"nothing to certify, no cell was measured beside itself in full: {why}"


def between_runs(levels: Sequence[Sequence[float]]) -> float | None:
    """Return the standard deviation of a run's log latency that its own processes do not show.

    `levels` holds the log latencies of several cells, by round. Blocks of as many rounds as a run
    has at least stand for runs: what their means differ by, less what their rounds explain (the
    analysis of variance of a one-way random model, Searle 1971). It is no less than the error of
    such a mean, because what is smaller could not be told from nothing. Runs on different days may
    differ by more. None for fewer than three blocks.
    """
    size = LOOKS.first
    between, within = [], []
    for level in levels:
        count = len(level) // size
        if count < _LEAST_BLOCKS:
            return None
        blocks = np.asarray(level[: count * size]).reshape(count, size)
        between.append(size * float(blocks.mean(axis=1).var(ddof=1)))
        within.append(float(blocks.var(axis=1, ddof=1).mean()))
    explained = float(np.mean(within))
    return math.sqrt(max(float(np.mean(between)) - explained, explained) / size)


def coverage(measured: Sequence[_Measured]) -> Interval:
    """Return the share of 95 % intervals of disjoint blocks of rounds that hold the known ratio.

    These are no replays: each block has as many rounds, one after the other, as a run at least. The
    variants of a block share the process that they are compared with, so that all of a block count
    as one trial.
    """
    size, held, trials = LOOKS.first, 0.0, 0
    for cell in measured:
        for begin in range(0, len(cell.variants[0].log_ratios) - size + 1, size):
            found = [
                _holds(one.log_ratios[begin : begin + size], one.effect) for one in cell.variants
            ]
            held += sum(found) / len(found)
            trials += 1
    return intervals.proportion_interval(held, trials)


def _holds(log_ratios: Sequence[float], effect: float) -> bool:
    interval = intervals.mean_interval(log_ratios)
    if interval is None:
        return False
    return interval.low - SLACK <= 1.0 + effect <= interval.high + SLACK


def visible(noises: Sequence[Noise]) -> tuple[Visible, ...]:
    """Return the smallest changes that are found by suites of several numbers of rounds.

    The floor of such a gate is the usual one, or the change itself where that is smaller.
    """
    return tuple(
        Visible(most, _smallest(noises, most, 0.8), _smallest(noises, most, 0.95))
        for most in MOST_ROUNDS
    )


def _smallest(noises: Sequence[Noise], most: int, share: float) -> float | None:
    """Return the smallest change found in so many gates; larger ones are found more often."""
    looks = Looks(min(LOOKS.first, most), most)
    low, high = 0, len(_TRIED)
    while low < high:
        middle = (low + high) // 2
        effect = _TRIED[middle]
        replay = Replay(noises, looks, min(effect, FLOOR), GATES)
        if replay.share_of_red(effect) >= share:
            high = middle
        else:
            low = middle + 1
    return _TRIED[low] if low < len(_TRIED) else None


def _certified(cell: _Measured) -> CertifiedCell:
    changes = []
    for one in cell.variants:
        found = intervals.mean_interval(one.log_ratios)
        if found is not None:
            changes.append(
                KnownChange(
                    one.effect, Interval(found.value - 1.0, found.low - 1.0, found.high - 1.0)
                )
            )
    return CertifiedCell(cell.key, math.sqrt(cell.variance), tuple(changes))

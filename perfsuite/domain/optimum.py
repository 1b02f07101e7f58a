"""What a search for a recipe that meets a target has found, as `optimize.json` holds it."""

from __future__ import annotations

from typing import Literal

import msgspec

from perfsuite.domain.environment import MustMatch
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.verdict import Interval, Verdict

OPTIMUM_SCHEMA = 1

# What became of a candidate. One that keeps both limits on the validation samples is `chosen`, or
# `met`: it keeps them as well, and the chosen one is faster.
Outcome = Literal[
    "chosen",
    "met",
    "too_slow",
    "loses_too_much",
    "not_judged",
    "not_trained",
    "not_tried",
    "failed",
]
# Why one was not trained or not tried: the target was met without it, no time was left, the task or
# the model lacks what it needs, or finding out about it failed, as `Candidate.detail` says.
Why = Literal["", "target_met", "no_time", "lacks", "failed"]


class Goal(msgspec.Struct, frozen=True):
    """The target: so many times as fast as the reference, and at most so many points lost.

    `versus` names the reference as `runtime/precision`; the search may take `minutes`.
    """

    speedup: float
    max_drop_points: float
    versus: str
    minutes: float


class Tested(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was measured of a candidate in the final run, on the test samples."""

    speedup: Interval | None = None
    loss_points: Interval | None = None
    accuracy: float | None = None
    latency_s: float | None = None


class Candidate(msgspec.Struct, frozen=True, omit_defaults=True):
    """One recipe on one engine in one precision, and why it was chosen or not.

    What was neither measured nor tried has no runtime and no key. `speedup` is that of the net
    before its training where it is `untrained`. `loss_points` is on the validation samples, with
    the standard error `loss_error`. `detail` is the text of an error, or what is lacking;
    `needed_s` how long its training would have taken at least, where no time was left. Those on the
    `front` are the Pareto front: no other one is faster, more accurate and smaller.
    """

    recipe: ResolvedRecipe
    outcome: Outcome
    key: str = ""
    runtime: str = ""
    precision: str = ""
    why: Why = ""
    detail: str = ""
    needed_s: float | None = None
    untrained: bool = False
    speedup: Interval | None = None
    loss_points: Interval | None = None
    loss_error: float | None = None
    latency_s: float | None = None
    size_bytes: float | None = None
    front: bool = False
    test: Tested | None = None


class SpeedBound(msgspec.Struct, frozen=True):
    """How fast any recipe that was tried could become by Amdahl's law.

    `stage` takes `time_s` at least, in the cell `key`: if all else took no time, the net would be
    `speedup` times as fast as the reference.
    """

    stage: str
    time_s: float
    key: str
    speedup: float


class Optimum(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of a search: the best that was found, and all that was tried.

    `best` is the key of the candidate that was chosen on the validation samples; `verdicts` are
    those on it, on the test samples. `exit_code` is 0 where both limits are proven to be kept, 1
    where one is not kept, 3 where that cannot be judged. `without` tells what the workload lacks.
    """

    schema: int
    perfsuite: str
    created_at: str
    workload: str
    goal: Goal
    machine: MustMatch
    reference: str  # the key of its cell
    metric: str
    exit_code: int
    candidates: tuple[Candidate, ...]
    reference_latency_s: float | None = None
    reference_accuracy: float | None = None  # on the test samples
    best: str = ""
    verdicts: tuple[Verdict, ...] = ()
    bound: SpeedBound | None = None
    without: dict[str, str] = {}
    spent_s: float = 0.0
    warnings: tuple[str, ...] = ()

    def candidate(self, key: str) -> Candidate | None:
        """Return the candidate whose cell has this key."""
        return next((one for one in self.candidates if one.key == key), None)

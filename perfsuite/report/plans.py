"""What a run will do and how long that may take, for people and for programs."""

from __future__ import annotations

import re
import textwrap

import msgspec

from perfsuite.config.run_plan import PlannedJob, RunPlan
from perfsuite.report.fitting import UNBOUNDED

_EXPECT = "leave it out, or say so by an [[expect]], else the run's exit code is 2"


class PlanDocument(msgspec.Struct, frozen=True):
    """A plan with the seconds that it takes; `at_most_s` is null if that is `total_s`.

    `refused` says, by cell key, why cells will be unsupported.
    """

    total_s: float
    at_least: bool
    at_most_s: float | None
    jobs: tuple[PlannedJob, ...]
    refused: dict[str, str] = {}


def plan_document(plan: RunPlan) -> PlanDocument:
    """Return the plan for programs."""
    return PlanDocument(plan.total_s, plan.at_least, plan.at_most_s, plan.jobs, plan.refused)


def plan_text(plan: RunPlan, width: int = UNBOUNDED) -> str:
    """Return a line for each cell with its jobs, and one with the time of them all.

    Below a cell that cannot work stands why. A line that is longer than `width` is broken, jobs
    are not.
    """
    lines = []
    for key in dict.fromkeys(job.cell for job in plan.jobs):
        jobs = [job for job in plan.jobs if job.cell == key]
        parts = ", ".join(f"{job.kind} {job.total_s:.0f} s" for job in jobs)
        line = f"{key}  ({parts})"
        lines += [line] if len(line) <= width else [key, *_wrapped(parts, width)]
        if key in plan.refused:
            lines += _wrapped(f"will be unsupported: {plan.refused[key]}; {_EXPECT}", width)
    return "\n".join([*lines, f"in all {time_text(plan)}"])


def _wrapped(text: str, width: int) -> list[str]:
    """Return indented lines; what a job takes is not parted from its unit."""
    tied = re.sub(r"(?<=[a-z]) (?=\d)|(?<=\d) (?=s\b)", "\N{NO-BREAK SPACE}", text)
    found = textwrap.wrap(tied, width - 2, break_long_words=False, break_on_hyphens=False)
    return [f"  {line}".replace("\N{NO-BREAK SPACE}", " ") for line in found]


def time_text(plan: RunPlan) -> str:
    """Return `about 5 min 3 s`, or from and to, and whether that is guessed."""
    time = f"about {_minutes(plan.total_s)}"
    if plan.at_most_s is not None:
        time = f"at least {_minutes(plan.total_s)}, at most {_minutes(plan.at_most_s)}"
    guess = " (partly guessed: no run yet)" if plan.guessed else ""
    return f"{time}{guess}"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"

"""What a run will do and how long that may take, for people and for programs."""

from __future__ import annotations

import msgspec

from perfsuite.config.run_plan import PlannedJob, RunPlan

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


def plan_text(plan: RunPlan) -> str:
    """Return a line for each cell with its jobs, and one with the time of them all.

    Below a cell that cannot work stands why.
    """
    lines = []
    for key in dict.fromkeys(job.cell for job in plan.jobs):
        jobs = [job for job in plan.jobs if job.cell == key]
        parts = ", ".join(f"{job.kind} {job.total_s:.0f} s" for job in jobs)
        lines.append(f"{key}  ({parts})")
        if key in plan.refused:
            lines.append(f"  will be unsupported: {plan.refused[key]}; {_EXPECT}")
    return "\n".join([*lines, f"in all {time_text(plan)}"])


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

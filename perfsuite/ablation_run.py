"""The verb `ablate`: what each library is worth, measured by turning it off."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from perfsuite.config.ablation_suite import MINUTES, ablation_suite
from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.profile_suite import FULL
from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.recipe import FP32
from perfsuite.judged_run import JudgedRun, worked_off
from perfsuite.plugins import refuse_while_importing
from perfsuite.processor import read_processor
from perfsuite.runner.run_folder import created, resumed
from perfsuite.runner.watched import Observe

AnyPath = str | os.PathLike[str]


def ablate(
    workload: WorkloadReference,
    out: AnyPath | None = None,
    *,
    runtimes: Sequence[RuntimeReference] = (),
    recipe: str = FP32.name,
    batch: int = 1,
    threads: int | None = None,
    samples: AnyPath | None = None,
    shapes: GivenShapes | None = None,
    device: str = PROCESSOR,
    precision: str = FULL,
    switches: Sequence[str] = (),
    minutes: float = MINUTES,
    resume: bool = False,
    observe: Observe | None = None,
) -> JudgedRun:
    """Measure a workload whole and with each library turned off or capped; return the run.

    Each is done in fresh processes that take turns with those of the whole. `switches` are the only
    ones to measure, by default all that can change anything on this machine; `minutes` is how long
    measuring may take, but for the first three rounds. The other arguments are those of `profile`
    and `run`; `perfsuite.judge.ablation.worths` gives the table of the run as data.
    """
    refuse_while_importing("perfsuite.ablate")
    suite = ablation_suite(
        workload,
        runtimes,
        recipe,
        flags=read_processor().flags,
        batch=batch,
        threads=threads,
        samples=None if samples is None else Path(samples),
        shapes=shapes,
        device=device,
        precision=precision,
        switches=switches,
        minutes=minutes,
    )
    folder, cells = None if out is None else Path(out), cells_of(suite)
    journal = resumed(folder, suite, cells) if resume else created(folder, suite, cells)
    return worked_off(journal, observe, evaluate=False)

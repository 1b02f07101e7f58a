"""The verb `sensitivity`: what each layer or stage costs and gains if it alone is compressed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from perfsuite.config.python_suite import RuntimeReference, WorkloadReference
from perfsuite.config.sensitivity_suite import asked_suite, sensitivity_suite
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.sensitivity import By
from perfsuite.judged_run import JudgedRun, worked_off
from perfsuite.plugins import refuse_while_importing
from perfsuite.runner.asking import ask
from perfsuite.runner.run_folder import created, resumed
from perfsuite.runner.watched import Observe

AnyPath = str | os.PathLike[str]


def sensitivity(
    workload: WorkloadReference,
    out: AnyPath | None = None,
    *,
    passes: str | Sequence[str] = "int8",
    by: By = "layer",
    runtime: RuntimeReference = "onnxruntime",
    layers: str | Sequence[str] = (),
    batch: int = 1,
    threads: int | None = None,
    samples: AnyPath | None = None,
    shapes: GivenShapes | None = None,
    resume: bool = False,
    observe: Observe | None = None,
) -> JudgedRun:
    """Compress each layer or stage of a workload alone; return the run that was made for it.

    `passes` are names of passes that can be limited to layers: int8, prune, lowrank, or your own.
    Nothing is trained: prune takes half of the channels. `layers` are names or patterns of the only
    layers to look at. Accuracy is that on validation samples, or without any the error of the
    outputs, and times are measured together with the whole net in fp32 on the same engine. The
    other arguments are those of `profile` and `run`; `perfsuite.judge.sensitivity.sensitivities`
    gives the table of the run as data.
    """
    refuse_while_importing("perfsuite.sensitivity")
    asked = asked_suite(
        workload,
        [passes] if isinstance(passes, str) else passes,
        runtime,
        batch=batch,
        threads=threads,
        samples=None if samples is None else Path(samples),
        shapes=shapes,
    )
    answers = {given: ask(asked.suite, cell) for given, cell in asked.cells.items()}
    patterns = [layers] if isinstance(layers, str) else layers
    suite, cells = sensitivity_suite(asked, answers, by, patterns)
    folder = None if out is None else Path(out)
    journal = resumed(folder, suite, cells) if resume else created(folder, suite, cells)
    validates = suite.sensitivity is not None and suite.sensitivity.validates
    return worked_off(journal, observe, evaluate=validates)

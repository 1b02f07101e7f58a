"""What to do next where something does not hold, in words, and the command to type."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.record import Record, Run
from perfsuite.domain.verdict import Verdict
from perfsuite.judge import metrics
from perfsuite.judge.bottleneck import bottleneck
from perfsuite.report.sentences.bottleneck import bottleneck_sentences

_TO_FINISH = ("cut_short", "not_run")
_PASSES_OF_SENSITIVITY = ("int8", "prune", "lowrank")


class NextStep(NamedTuple):
    """A piece of advice, and a command if one helps."""

    words: str
    command: str = ""


def next_step(verdict: Verdict, run: Run) -> NextStep | None:
    """Return what to do about a verdict that is not `pass`; None where it says so itself."""
    record = _record(verdict, run)
    match verdict.status:
        case "missing" if _is_to_finish(verdict):
            return NextStep(
                "Finish the run: what is done is not done again.",
                f"perfsuite run {_suite(run)} --resume -o RUN",
            )
        case "pass" | "missing" | "incomparable":
            return None  # its sentence says how to mend it
        case "failed":
            if record is None or verdict.check == "require":
                return None
            return NextStep(
                "Mend what the message says, and run the suite anew: what was built already is not "
                "built again.",
                f"perfsuite run {_suite(run)}",
            )
        case "inconclusive" if verdict.noise:
            return NextStep(
                "Measure it beside its baseline: what differs between two runs is left out then.",
                f"perfsuite run {_suite(run)} --baseline BASELINE",
            )
        case "inconclusive":
            return NextStep(_more(verdict, run))
    if record is None:
        return None
    if verdict.check == "max_drop_points" or (verdict.check == "regression" and not verdict.unit):
        return _accuracy(verdict, record, run)
    if verdict.check == "regression":
        return NextStep(
            "Look at what differs from the baseline: the versions, and the breakdown of the cell."
        )
    if verdict.metric == LATENCY or verdict.stage:
        return _latency(verdict, record, run)
    return None


def _is_to_finish(verdict: Verdict) -> bool:
    """Tell whether the run itself was cut short, and not its baseline."""
    reason = verdict.reason
    return reason is not None and reason.kind in _TO_FINISH and reason.whose != "baseline"


def _record(verdict: Verdict, run: Run) -> Record | None:
    return next((one for one in run.records.values() if one.cell.key == verdict.cell), None)


def _more(verdict: Verdict, run: Run) -> str:
    if verdict.unit or verdict.check == "max_share":
        here = run.header.suite.processes
        return f"Measure more processes than {here}: raise `processes` in the suite."
    if run.header.suite.evaluate.samples is not None:
        return (
            f"Evaluate more samples than {run.header.suite.evaluate.samples:,}: raise `samples` in "
            f"the suite's [evaluate]."
        )
    return "All samples were answered: only a data set with more of them could decide."


def _suite(run: Run) -> str:
    return shlex.quote(run.header.source or "SUITE.toml")


def _reference(record: Record, run: Run) -> str:
    return run.header.suite.workloads.get(record.cell.workload, record.cell.workload)


def _accuracy(verdict: Verdict, record: Record, run: Run) -> NextStep | None:
    uses = [
        use.use
        for one in run.header.suite.recipes
        if one.name == record.cell.recipe
        for use in one.passes
    ]
    known = [one for one in reversed(uses) if one in _PASSES_OF_SENSITIVITY]
    if not known:
        return None
    words = (
        f"Find the layers that lose most by {known[0]}, and leave these as they are: "
        f"each layer is tried alone."
    )
    command = ["perfsuite", "sensitivity", _reference(record, run), "--pass", known[0]]
    if record.cell.runtime != "onnxruntime":
        command += ["--runtime", record.cell.runtime]
    return NextStep(words, shlex.join(command))


def _latency(verdict: Verdict, record: Record, run: Run) -> NextStep:
    reference = _reference(record, run)
    found = None
    if record.breakdown is not None:
        found = bottleneck(record.breakdown, record.roofline, metrics.typical_latency(record))
    if found is None:
        command = ["perfsuite", "profile", reference, "--runtime", record.cell.runtime]
        return NextStep("See which stage holds it back.", shlex.join(command))
    where = " ".join(bottleneck_sentences(found)[:2])
    if verdict.check != "min_speedup" or verdict.limit is None:
        return NextStep(where)
    drop = next(
        (one.max_drop_points for one in run.header.suite.budgets if one.max_drop_points), 1.0
    )
    command = ["perfsuite", "optimize", reference]
    command += ["--speedup", f"{verdict.limit:g}", "--max-drop-points", f"{drop:g}"]
    return NextStep(f"{where} Search for a recipe that is fast enough:", shlex.join(command))

"""Cautions: what a person should know besides the verdicts of a run."""

from __future__ import annotations

import math
from typing import Literal

from perfsuite.config import expects, match
from perfsuite.config.references import whole_matches
from perfsuite.domain.environment import MustMatch
from perfsuite.domain.judgement import (
    Caution,
    DividedBy,
    ExpectationUnmet,
    InParts,
    Labelled,
    LatenciesLeftOut,
    LittleInt8,
    NotBeside,
    NotChosen,
    NotInBaseline,
    NotTogether,
    OfOtherRun,
    OfOtherWorkload,
    OnValidation,
    Quick,
    TimeWasUp,
    TooManyThreads,
    Unlike,
    VersionsDiffer,
)
from perfsuite.domain.metrics import AGREEMENT, LATENCY
from perfsuite.domain.record import (
    ALIKE,
    FROZEN,
    IN_FLOAT,
    INT8_ALREADY,
    MAY_OVERFLOW,
    MEASURED_ALONE,
    NAN_OF_MADE_UP,
    NO_PICTURES,
    NOT_COMPARED,
    NOT_TOGETHER,
    Run,
)
from perfsuite.judge import intervals
from perfsuite.judge.comparability import change, version_changes
from perfsuite.judge.open_questions import open_questions
from perfsuite.judge.realised import unproven
from perfsuite.judge.references import is_cut_short, not_chosen, ok_cells
from perfsuite.judge.visibility import not_visible

# Below this share of MACs in 8 bits, a quantized model is mostly a float one.
LEAST_INT8_SHARE = 0.5
# Below this mean cosine to the answers of fp32, a model without labelled samples may be spoilt.
LEAST_COSINE = 0.9


def cautions(run: Run, baseline: Run | None = None) -> list[Caution]:
    """Return the cautions about the run, whose changes are judged against `baseline`, if at all."""
    in_parts = run.header.suite.sensitivity is not None
    return [
        *run.warnings,
        *_measured_badly(run),
        *not_visible(run.header),
        *_of_other_workloads(run),
        *_ended_early(run, baseline),
        *_left_out(run),
        *_not_together(run),
        *_in_words(run),
        *_in_parts(run),
        # Of a net that is compressed in one part, the table of sensitivities says these.
        *([] if in_parts else _little_int8(run)),
        *([] if in_parts else _unlike(run)),
        *_unmet_expectations(run),
        *([] if in_parts else unproven(run)),
    ]


def cautions_beside(run: Run, baseline: Run) -> list[Caution]:
    """Return the cautions that follow from the comparison of a run with a baseline."""
    left_out = not_chosen(run, baseline)
    changes = version_changes(run.header.environment, baseline.header.environment)
    return [
        *of_other_run("baseline", baseline),
        *([VersionsDiffer(changes)] if changes else []),
        *_new_cells(run, baseline),
        *([NotChosen(tuple(left_out.values()))] if left_out else []),
        *_not_beside(run),
        *_yardsticks(run, baseline),
    ]


def of_other_run(which: Literal["baseline", "before", "after"], run: Run) -> list[OfOtherRun]:
    """Return the cautions of a run that another one is compared with."""
    return [OfOtherRun(which, one) for one in (*run.warnings, *_measured_badly(run))]


def _measured_badly(run: Run) -> list[Caution]:
    """Return what of a whole run says less than it seems to.

    It is quick, its accuracies are not of test samples, or cells have more threads than cores.
    """
    found: list[Caution] = [Quick()] if run.header.quick else []
    answered = (one.split for record in run.records.values() for one in record.accuracies)
    # The table of sensitivities says so by itself.
    told = run.header.suite.sensitivity is not None
    found += [OnValidation()] if "validation" in answered and not told else []
    cores = _cores(run.header.environment.must_match)
    most = max((cell.threads for cell in run.header.cells), default=0)
    return [*found, TooManyThreads(most, cores)] if most > cores else found


def _of_other_workloads(run: Run) -> list[OfOtherWorkload]:
    """Return what is held against a cell of another workload, by a budget on several of them.

    One on a single workload names both, and so means it: a student's teacher, for instance.
    """
    found = []
    for budget in run.header.suite.budgets:
        if budget.against is None:
            continue
        whole = whole_matches(budget.against, run.header.cells)
        named = [cell for cell in run.header.cells if match(budget.cell, cell.key)]
        if len(whole) != 1 or len({cell.workload for cell in named}) < 2:
            continue
        others = tuple(cell.key for cell in named if cell.workload != whole[0].workload)
        found.append(OfOtherWorkload(budget.name, others, whole[0].key))
    return found


def _ended_early(run: Run, baseline: Run | None) -> list[TimeWasUp]:
    """Return that the time was up, where verdicts are open that further rounds might decide."""
    minutes = run.header.suite.minutes
    if minutes is None:
        return []
    count = sum(
        _open_to_rounds(one, baseline)
        for one in (run, run.again)
        if one is not None and one.measured_s >= minutes * 60.0
    )
    return [TimeWasUp(minutes, count)] if count else []


def _open_to_rounds(run: Run, baseline: Run | None) -> int:
    """Return how many verdicts are open of cells that may have further rounds."""
    rounds = {one.cell.key: len(one.latencies_s) for one in run.records.values()}
    most = run.header.suite.processes
    return sum(rounds[one.cell] < most for one in open_questions(run, baseline))


def _cores(machine: MustMatch) -> int:
    if machine.quota_cores is None:
        return machine.usable_cores
    return max(1, min(machine.usable_cores, math.ceil(machine.quota_cores)))


def _left_out(run: Run) -> list[LatenciesLeftOut]:
    return [
        LatenciesLeftOut(cell.key, tuple(rounds))
        for cell in run.header.cells
        if (record := run.records.get(cell.id)) is not None
        and (rounds := intervals.invalid_rounds(record.latencies_s))
    ]


def _not_together(run: Run) -> list[NotTogether]:
    cells = _labelled(run, NOT_TOGETHER)
    return [NotTogether(cells)] if cells else []


def _in_words(run: Run) -> list[Labelled]:
    """Return the labels that do not explain themselves, with their cells."""
    frozen = {label: None for record in run.records.values() for label in record.labels
              if label.startswith(FROZEN)}  # fmt: skip
    known = (NAN_OF_MADE_UP, NOT_COMPARED, ALIKE, INT8_ALREADY, IN_FLOAT, MAY_OVERFLOW, NO_PICTURES)
    found = {label: _labelled(run, label) for label in (*known, *frozen)}
    # Where nothing was computed in 8 bits, it is what that is compared with that may overflow.
    found[MAY_OVERFLOW] = tuple(key for key in found[MAY_OVERFLOW] if key not in found[IN_FLOAT])
    return [Labelled(label, cells) for label, cells in found.items() if cells]


def _in_parts(run: Run) -> list[InParts]:
    """Return who took turns with whom, of all rounds, if memory was too short for all together."""
    members: dict[str, dict[str, None]] = {}
    split: set[str] = set()
    for record in run.records.values():
        for number, slices in record.slices.items():
            parts = [slices, *(part.slices for part in record.parts.get(number, ()))]
            for one in parts:
                members.setdefault(one.together, {})[record.cell.key] = None
            if len(parts) > 1:
                split |= {one.together for one in parts}
    found = tuple(tuple(keys) for name, keys in members.items() if name in split)
    alone = _labelled(run, MEASURED_ALONE)
    return [InParts(found, alone)] if found or alone else []


def _little_int8(run: Run) -> list[LittleInt8]:
    """Return the quantized cells that mostly ran in float, though nobody asked for that."""
    asked = {
        recipe.name
        for recipe in run.header.suite.recipes
        for use in recipe.passes
        if use.fields.get("layers") or use.fields.get("keep")
    }
    return [
        LittleInt8(record.cell.key, record.int8_share, record.float_shares)
        for record in run.records.values()
        if record.int8_share is not None
        and record.int8_share < LEAST_INT8_SHARE
        and record.cell.recipe not in asked
    ]


def _unlike(run: Run) -> list[Unlike]:
    """Return the cells that answer little like fp32, where no labelled samples judge them."""
    return [
        Unlike(record.cell.key, least.output, least.cosine)
        for record in run.records.values()
        if (least := record.least_like) is not None
        and least.cosine is not None
        and least.cosine < LEAST_COSINE
        and not any(one.metric != AGREEMENT for one in record.accuracies)
    ]


def _labelled(run: Run, label: str) -> tuple[str, ...]:
    return tuple(
        cell.key
        for cell in run.header.cells
        if (record := run.records.get(cell.id)) is not None and label in record.labels
    )


def _unmet_expectations(run: Run) -> list[ExpectationUnmet]:
    return [
        ExpectationUnmet(cell.key, expect.status, expect.reason)
        for cell in run.header.cells
        if (record := run.records.get(cell.id)) is not None and record.status == "ok"
        for expect in run.header.suite.expect
        if expects(expect, cell)
    ]


def _new_cells(run: Run, baseline: Run) -> list[NotInBaseline]:
    """Return the cells that are not judged; of those that were cut short verdicts tell it."""
    before = {cell.id for cell in ok_cells(baseline)}
    return [
        NotInBaseline(cell.key)
        for cell in ok_cells(run)
        if cell.id not in before and not is_cut_short(baseline, cell)
    ]


def _not_beside(run: Run) -> list[NotBeside]:
    """Return why cells were not measured beside the baseline's artifacts in all rounds."""
    cells: dict[str, list[str]] = {}
    for record in run.beside.values():
        if record.status != "ok" and run.records[record.cell.id].status == "ok":
            reason = record.error.message.strip() if record.error else record.status
            cells.setdefault(reason, []).append(record.cell.key)
    return [NotBeside(tuple(keys), reason) for reason, keys in cells.items()]


def _yardsticks(run: Run, baseline: Run) -> list[DividedBy]:
    """Return the cells that `compare = "ratio"` divides by; none with "absolute"."""
    before = {cell.id for cell in ok_cells(baseline)}
    keys = {
        change(cell, run, baseline, LATENCY).yardstick
        for cell in ok_cells(run)
        if cell.id in before
    }
    return [DividedBy(key) for key in sorted(keys - {""})]

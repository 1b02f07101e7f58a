"""What each layer or stage costs and gains if it alone is compressed, for all formats."""

from __future__ import annotations

from collections.abc import Iterator

from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge.sensitivity import Part, sensitivities
from perfsuite.report import words
from perfsuite.report.tables.cell_rows import plain
from perfsuite.report.tables.layers import by_reason
from perfsuite.report.tables.texts import loss_text

TITLE = "Sensitivity, the worst first"


def columns(run: Run) -> tuple[str, ...]:
    """Return the columns: what is lost is in points, or is the error of the outputs."""
    asked = run.header.suite.sensitivity
    by = asked.by if asked else "layer"
    lost = ("points lost", "points per ms")
    if asked is not None and not asked.validates:
        lost = ("error", "error per ms")
    return ("pass", by, lost[0], "saved", lost[1], "")


def lines(run: Run) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each part's line, the worst part first."""
    for part in sensitivities(run):
        yield (
            plain(part.use),
            _name(part),
            _lost(part),
            _saved(part),
            _per_ms(part),
            _note(part),
        )


def sentences(run: Run) -> Iterator[str]:
    """Yield what the table is about: how it was measured, and what could not be compressed."""
    asked = run.header.suite.sensitivity
    if asked is None:
        return
    yield _measured(run)
    for part in sensitivities(run):
        if part.reason:
            reason = plain(part.reason)
            yield f"Could not be compressed: {plain(part.use)} of {_name(part)}: {reason}"
    for use in dict.fromkeys(unit.use for unit in asked.units):
        yield from _compressed(run, use)
        left = asked.left.get(use, {})
        yield from (f"Not alone by {plain(use)}: {text}" for text in by_reason(left))


def _measured(run: Run) -> str:
    cells = {cell.recipe: cell for cell in run.header.cells}
    cell = cells.get(FP32.name)
    record = run.records.get(cell.id) if cell else None
    where = f"on {plain(cell.runtime)}" if cell else ""
    count = run.header.suite.processes
    times = (
        f"Times: {count} processes of each, measured together with the whole net in fp32 {where}"
    )
    if record is None or record.accuracy is None:
        return (
            f"{times}. What is lost is the relative error of the output that differs most from "
            f"fp32: there are no validation samples, or no metric."
        )
    accuracy = record.accuracy
    share = f"{accuracy.value * 100:.2f} %"
    return (
        f"{times}. Points: of {plain(accuracy.metric)} on {accuracy.samples} validation samples "
        f"({share} in fp32); test samples were not looked at."
    )


def _compressed(run: Run, use: str) -> Iterator[str]:
    """Yield what a pass does to a part, by its fields."""
    asked = run.header.suite.sensitivity
    recipe = next(unit.recipe for unit in (asked.units if asked else ()) if unit.use == use)
    passes = next(one.passes for one in run.header.suite.recipes if one.name == recipe)
    fields = {key: value for key, value in passes[-1].fields.items() if key != "layers"}
    said = ", ".join(f"{key} = {value}" for key, value in sorted(fields.items()))
    trained = "" if use == "int8" else "; nothing is trained"
    yield f"{plain(use)}: {plain(said) or 'its defaults'}{trained}."


def _name(part: Part) -> str:
    return plain(part.name) or "the model itself"


def _lost(part: Part) -> str:
    if part.points_lost is not None:
        return loss_text(part.points_lost)
    return "" if part.error_percent is None else f"{words.number(part.error_percent)} %"


def _saved(part: Part) -> str:
    if part.status != "ok":
        return part.status
    return "" if part.saved_s is None else _seconds(part.saved_s)


def _seconds(saved: Interval) -> str:
    return f"{words.seconds(saved.value)}{words.spread(saved, words.seconds)}"


def _per_ms(part: Part) -> str:
    found = part.lost_per_ms
    return (
        "" if found is None else f"{words.number(found.value)}{words.spread(found, words.number)}"
    )


def _note(part: Part) -> str:
    if part.is_slower:
        return "slower than in fp32"
    if part.saved_s is not None and not part.is_faster:
        return "not proven faster"
    return ""

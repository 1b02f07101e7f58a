"""What each library is worth to a workload, from a stored run in which they were turned off."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.record import Record, Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge import metrics
from perfsuite.libraries.acted import Acted, acted
from perfsuite.libraries.switches import SWITCHES

WITHIN = 0.05  # as well as a ratio is to be known that may be 1
_SHARE = 0.2  # of the logarithm of any other

_CUT_SHORT = "the run was cut short"
_MEASURED = ("ok", "incomplete")


class Worth(msgspec.Struct, frozen=True):
    """What one switch costs one cell: the ratio of the times without and with the library.

    `whole` is the key of the cell in which nothing is turned off, `cell` that of the one with the
    switch. Both were measured together, and `ratio` is time(without) / time(whole): above 1 the
    library is worth something. `seen` tells whether what ran was other than in the whole, in words
    from `before` to `after`; None if the evidence does not tell. `reason` is why there is no ratio.
    """

    whole: str
    cell: str
    runtime: str
    switch: str
    library: str
    title: str  # what is done to it, such as "off" or "capped at AVX2"
    status: str
    reason: str = ""
    whole_s: float | None = None
    without_s: float | None = None
    ratio: Interval | None = None
    seen: bool | None = None
    before: str = ""
    after: str = ""

    @property
    def is_worth(self) -> bool:
        """Return whether it is proven that calls take longer without, by what was seen to act."""
        return self.ratio is not None and self.ratio.low > 1.0 and self.seen is not False

    @property
    def is_better_without(self) -> bool:
        """Return whether it is proven that calls take less time so."""
        return self.ratio is not None and self.ratio.high < 1.0 and self.seen is not False


def worths(run: Run) -> list[Worth]:
    """Return what each switch costs each cell, in the order of the run; none if it does not ask."""
    if not run.header.suite.ablation:
        return []
    return [_worth(run, cell) for cell in run.header.cells if cell.switch]


def worth_most(found: Sequence[Worth]) -> list[Worth]:
    """Return the library that is worth most, and those that cannot be told from it, one row each.

    A library's row is that in which calls take longest without it. How many threads there are is no
    library's merit. Empty where nothing is proven.
    """
    best: dict[str, Worth] = {}
    for one in found:
        if one.is_worth and one.ratio is not None and one.switch != "one-thread":
            before = best.get(one.library)
            if before is None or before.ratio is None or one.ratio.value > before.ratio.value:
                best[one.library] = one
    ordered = sorted(best.values(), key=lambda one: -_value(one))
    if not ordered or ordered[0].ratio is None:
        return []
    low = ordered[0].ratio.low
    return [one for one in ordered if one.ratio is not None and one.ratio.high >= low]


def is_known(ratio: Interval) -> bool:
    """Tell whether further rounds would tell people nothing more of a ratio.

    One that may be 1 is known within `WITHIN`, any other to a fifth of its own size.
    """
    reach = math.log(ratio.high / ratio.low) / 2.0
    enough = math.log1p(WITHIN)
    if not ratio.low <= 1.0 <= ratio.high:
        enough = max(enough, _SHARE * abs(math.log(ratio.value)))
    return reach <= enough


def whole_of(cell: Cell) -> Cell:
    """Return the cell in which nothing is turned off."""
    return msgspec.structs.replace(cell, switch="")


def _worth(run: Run, cell: Cell) -> Worth:
    record = run.records[cell.id]
    whole = run.records.get(whole_of(cell).id)
    switch = SWITCHES.get(cell.switch)
    found = Worth(
        whole_of(cell).key,
        cell.key,
        cell.runtime,
        cell.switch,
        switch.library if switch else "",
        switch.title if switch else cell.switch,
        record.status,
    )
    if whole is None or whole.status not in _MEASURED or record.status not in _MEASURED:
        return msgspec.structs.replace(found, reason=_why_none(record, whole))
    change = acted(switch, whole.evidence, record.evidence) if switch else Acted(None)
    return msgspec.structs.replace(
        found,
        reason=_why_none(record, whole),
        whole_s=metrics.typical_latency(whole),
        without_s=metrics.typical_latency(record),
        ratio=metrics.ratio(record, whole, LATENCY, "median"),
        seen=change.seen,
        before=change.before,
        after=change.after,
    )


def _why_none(record: Record, whole: Record | None) -> str:
    """Return why a cell cannot be held against the whole one; '' if it can."""
    if record.status != "ok":
        return _CUT_SHORT if record.error is None else record.error.message
    if whole is None:
        return "the cell in which nothing is turned off is not in this run"
    if whole.status != "ok":
        told = _CUT_SHORT if whole.error is None else whole.error.message
        return f"the cell in which nothing is turned off is {whole.status}: {told}"
    return ""


def _value(one: Worth) -> float:
    return 0.0 if one.ratio is None else one.ratio.value

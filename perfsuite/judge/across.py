"""What becomes of an INT8 artifact's accuracy on other processors, from a stored run."""

from __future__ import annotations

import msgspec

from perfsuite.domain.across import Across, NotTried
from perfsuite.domain.cell import Cell
from perfsuite.domain.elsewhere import Elsewhere, PortableCost
from perfsuite.domain.finding import Finding
from perfsuite.domain.metrics import LATENCY
from perfsuite.domain.record import OVERFLOWS, Record, Run
from perfsuite.judge import metrics
from perfsuite.libraries.places import place_of

NO_EFFECT = "no effect"
FIX = (
    "make one that is right on every x86 processor, with portable = true in the pass int8, or make "
    "it on a processor without VNNI"
)
_GIVEN_FIX = (
    "quantize the float model with weights of 7 bits (reduced range), or with the pass int8 and "
    "portable = true"
)
_ALIKE = (
    "sums of bytes do not overflow in its processes, so that they are not as without VNNI: the "
    "engine ignores the cap, or the emulator lacks AVX2 (QEMU has it from 7.2 on)"
)
_CUT_SHORT = "the run was cut short"
_OTHER_INPUTS = (
    "the task gives other inputs there, to the last bit: its preprocessing depends on the processor"
)


def elsewhere(run: Run) -> tuple[Elsewhere, ...]:
    """Return what becomes of each artifact on each other processor; nothing if nobody asked."""
    asked = run.header.suite.across
    if asked is None:
        return ()
    tried = (_one(run, cell, asked) for cell in run.header.cells if cell.switch)
    others = (_not_tried(one, asked) for one in asked.not_tried)
    return (*tried, *others)


def portable_costs(run: Run) -> tuple[PortableCost, ...]:
    """Return what the portable form costs on each runtime; nothing where there is none."""
    asked = run.header.suite.across
    if asked is None or not asked.portable:
        return ()
    found = []
    for cell in run.header.cells:
        if cell.recipe == asked.portable and not cell.switch:
            native = run.records.get(msgspec.structs.replace(cell, recipe=asked.recipe).id)
            own = run.records[cell.id]
            if native is not None and (native.status, own.status) == ("ok", "ok"):
                time_ = metrics.ratio(own, native, LATENCY, "median")
                lost = metrics.known_loss(native, own)
                found.append(PortableCost(cell.runtime, cell.recipe, time_, lost))
    return tuple(found)


def loses_elsewhere(run: Run) -> tuple[tuple[Finding, str], ...]:
    """Return each artifact that is proven to lose accuracy elsewhere, with the key of its cell.

    Of several other processors it is the one where it loses most.
    """
    asked = run.header.suite.across
    if asked is None:
        return ()
    worst: dict[str, Elsewhere] = {}
    for one in elsewhere(run):
        before = worst.get(one.artifact)
        if one.loses and (before is None or _points(one) > _points(before)):
            worst[one.artifact] = one
    fix = FIX if asked.portable else _GIVEN_FIX
    return tuple((_finding(one, fix), artifact) for artifact, one in worst.items())


def _points(one: Elsewhere) -> float:
    return one.lost.value if one.lost is not None else 0.0


def _not_tried(one: NotTried, asked: Across) -> Elsewhere:
    return msgspec.structs.replace(_begun(one.cell, asked), status="unavailable", reason=one.reason)


def _begun(cell: Cell, asked: Across) -> Elsewhere:
    where, by = place_of(cell.switch)
    return Elsewhere(
        cell=cell.key,
        artifact=msgspec.structs.replace(cell, switch="").key,
        runtime=cell.runtime,
        recipe=cell.recipe,
        is_portable=cell.recipe == asked.portable,
        where=where,
        by=by,
        status="incomplete",
    )


def _one(run: Run, cell: Cell, asked: Across) -> Elsewhere:
    record = run.records[cell.id]
    here = run.records.get(msgspec.structs.replace(cell, switch="").id)
    found = msgspec.structs.replace(_begun(cell, asked), status=record.status)
    if record.accuracy is None or here is None or here.accuracy is None:
        told = next((one.error.message for one in (record, here) if one and one.error), _CUT_SHORT)
        return msgspec.structs.replace(found, reason=told)
    if OVERFLOWS not in record.labels:
        return msgspec.structs.replace(found, status=NO_EFFECT, reason=_ALIKE)
    return _compared(found, here, record)


def _compared(found: Elsewhere, here: Record, there: Record) -> Elsewhere:
    assert here.accuracy is not None
    assert there.accuracy is not None
    lost = metrics.known_loss(here, there)
    return msgspec.structs.replace(
        found,
        status="ok",
        metric=there.accuracy.metric,
        samples=there.accuracy.samples,
        here=here.accuracy.value,
        there=there.accuracy.value,
        lost=lost,
        reason="" if lost is not None else _OTHER_INPUTS,
    )


def _finding(one: Elsewhere, fix: str) -> Finding:
    lost = one.lost
    assert lost is not None
    return Finding(
        name="int8-loses-elsewhere",
        about=one.runtime,
        message=(
            f"the artifact loses {lost.value:.2f} points of {one.metric} ({lost.low:.2f} to "
            f"{lost.high:.2f}) on processors whose best is {one.where}, by {one.samples} samples "
            f"that it answered here and there ({one.by})"
        ),
        fix=fix,
        how="observed",
        severity="caution",
    )

"""What becomes of an INT8 artifact's accuracy on processors that lack VNNI."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.elsewhere import Elsewhere
from perfsuite.domain.runtime import Manifest
from perfsuite.report import words
from perfsuite.report.tables.texts import loss_text, share_text

_ANYWHERE = (
    "It computes in 8 bits, in a form that is right on every x86 processor: no weight needs more "
    "than 7 bits, so that two products fit into the 16 bits in which processors without VNNI add "
    "them."
)
_NATIVE = (
    "It computes in 8 bits and is made for VNNI: it is not portable. Its weights use all 8 bits, "
    "and on x86 processors without VNNI, such as those with AVX2 alone, sums of two products may "
    "overflow 16 bits, which costs accuracy."
)
_UNKNOWN = (
    "It computes in 8 bits, and whether it is portable is not known: on processors without VNNI "
    "sums of two products may overflow 16 bits, which costs accuracy."
)
_NOT_TRIED = (
    "What its accuracy becomes there was not tried: run its suite on such a processor, or try INT8 "
    "of this model here with {command}."
)
_FIX = "The pass int8 with portable = true makes one that is right on every x86 processor."


def other_processors(manifest: Manifest, workload: str, tried: Sequence[Elsewhere] = ()) -> str:
    """Return what is known of an artifact's accuracy where VNNI lacks; '' if it adds no bytes.

    `workload` is how a command line names the model, and `tried` what it answered there.
    """
    if not manifest.rounds_to_8_bits or manifest.device != PROCESSOR:
        return ""
    answered = " ".join(_tried(one for one in tried if one.there is not None))
    if manifest.portable:
        return " ".join(filter(None, (_ANYWHERE, answered)))
    form = _UNKNOWN if manifest.portable is None else _NATIVE
    command = ["perfsuite", "doctor", workload, "--recipe", "int8", "--across"]
    known = answered or _NOT_TRIED.format(command=shlex.join(command))
    return " ".join((form, known, _FIX))


def _tried(found: Iterable[Elsewhere]) -> Iterable[str]:
    """Yield what an artifact answered here and on each other processor."""
    for one in found:
        here, there = (share_text(value or 0.0) for value in (one.here, one.there))
        lost = f", {loss_text(one.lost)} points lost" if one.lost is not None else ""
        yield (
            f"Tried on {one.where} ({one.by}, {words.number(one.samples)} samples): {one.metric} "
            f"{there}, {here} here{lost}."
        )

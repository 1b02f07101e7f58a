"""The ways in which a net can be run: engines, precisions, and rounded to 8 bits or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from perfsuite.domain.recipe import PassUse
from perfsuite.processor import best_instruction_sets, read_processor

# Before non-maximum suppression, of each level, where torchvision's detectors have 400 or 1000.
FEWER_BOXES = 300


class Way(msgspec.Struct, frozen=True):
    """An engine, a precision, and the passes that a recipe ends with, which train nothing.

    `suffix` is the end of the names of recipes that have these passes.
    """

    runtime: str
    precision: str = "fp32"
    last: tuple[PassUse, ...] = ()
    suffix: str = ""

    @property
    def rounds(self) -> bool:
        """Tell whether it rounds to 8 bits."""
        return any(one.use == "int8" for one in self.last)

    @property
    def judges(self) -> bool:
        """Tell whether it finds out which layers must stay in float, on validation samples."""
        return judges(self.last)


def judges(passes: Iterable[PassUse]) -> bool:
    """Tell whether one of the passes judges graphs on validation samples."""
    return any(one.use == "int8" and one.fields.get("keep") == "auto" for one in passes)


def ways(runtimes: Mapping[str, str]) -> list[Way]:
    """Return all ways to run a net on these runtimes, given by name and reference.

    What an engine of perfsuite's table cannot do is left out. Of a user's engine, whose file is not
    run here, all is tried.
    """
    found = [
        Way(name, precision)
        for precision in precisions()
        for name, reference in runtimes.items()
        if _has_precision(reference, precision)
    ]
    rounded = [name for name, reference in runtimes.items() if _may_round(reference)]
    return [*found, *(Way(name, last=(PassUse("int8"),), suffix="int8") for name in rounded)]


def without_loss(way: Way, max_drop_points: float) -> Way:
    """Return the way with as many layers left in float as the limit on the loss demands."""
    keep = {"keep": "auto", "max_drop_points": max_drop_points}
    return Way(way.runtime, way.precision, (PassUse("int8", keep),), f"{way.suffix}-auto")


def with_fewer_boxes(way: Way) -> Way:
    """Return the way for a detector that chooses from fewer boxes."""
    fewer = PassUse("proposals", {"pre_nms": FEWER_BOXES})
    words = ["fewer", way.suffix] if way.suffix else ["fewer"]
    return Way(way.runtime, way.precision, (fewer, *way.last), "-".join(words))


def with_kernels(runtimes: Mapping[str, str], kinds: frozenset[str]) -> list[Way]:
    """Return the ways on engines that have kernels of all these kinds, which compute in no INT8."""
    return [Way(name) for name, reference in runtimes.items() if _has_kernels(reference, kinds)]


def precisions() -> tuple[str, ...]:
    """Return the precisions that are worth trying on this processor."""
    return (
        ("fp32", "bf16")
        if "bf16" in best_instruction_sets(read_processor().features)
        else ("fp32",)
    )


def _has_precision(reference: str, precision: str) -> bool:
    from perfsuite.runtimes.table import RUNTIMES

    return reference not in RUNTIMES or precision in RUNTIMES[reference]().precisions


def _has_kernels(reference: str, kinds: frozenset[str]) -> bool:
    from perfsuite.runtimes.table import RUNTIMES

    return reference not in RUNTIMES or kinds <= {*getattr(RUNTIMES[reference](), "kernels", ())}


def _may_round(reference: str) -> bool:
    """Tell whether an engine may run graphs in INT8, which no engine does that takes modules."""
    from perfsuite.runtimes.table import RUNTIMES

    return reference not in RUNTIMES or RUNTIMES[reference]().takes != "module"
